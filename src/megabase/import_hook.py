"""Register our classes at the moment transformers makes its Auto classes.

So `import megabase` costs nothing, and `AutoModelForCausalLM.from_pretrained` knows
our models whichever of the two packages is imported first.
"""

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_AUTO_CLASSES = "transformers.models.auto"
_MODELS = "transformers.modeling_utils"  # which our models need whole, and which may ask for Auto

_being_imported: set[str] = set()
"""Those of the two that have begun and not ended."""


def register_with_transformers() -> None:
    """Register at once if the Auto classes are there, else as soon as they are."""
    if absent := {_AUTO_CLASSES, _MODELS} - sys.modules.keys():
        sys.meta_path.insert(0, _Finder(absent))
    _register_if_whole()


def _register_if_whole() -> None:
    """Register unless a module that we need is absent or in the middle of its own import."""
    if _AUTO_CLASSES in sys.modules and not _being_imported:
        importlib.import_module("megabase.model.registration")


class _Finder(MetaPathFinder):
    """Finds modules once each, where they are, with a loader that tells us."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        self._names.remove(fullname)
        if not self._names:
            sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads a module as its own loader does, then registers."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        _being_imported.add(module.__name__)
        try:
            self._loader.exec_module(module)
        finally:
            _being_imported.remove(module.__name__)
        _register_if_whole()

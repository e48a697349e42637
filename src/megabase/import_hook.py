"""Register our classes at the moment transformers makes its Auto classes.

So `import megabase` costs nothing, and `AutoModelForCausalLM.from_pretrained` knows
our models whichever of the two packages is imported first. What transformers imports on
the way of one of our modules may ask for the Auto classes; ours are registered once that
module is whole.
"""

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_AUTO_CLASSES = "transformers.models.auto"
_MODELS = "transformers.modeling_utils"  # which our models need whole, and which may ask for Auto
_OURS = "megabase.model."

_being_imported: set[str] = set()
"""Those of these modules that have begun and not ended."""


def register_with_transformers() -> None:
    """Register at once if the Auto classes are there, else as soon as they are."""
    sys.meta_path.insert(0, _Finder())
    _register_if_whole()


def _register_if_whole() -> None:
    """Register unless a module that we need is absent or in the middle of its own import."""
    if _AUTO_CLASSES in sys.modules and not _being_imported:
        importlib.import_module("megabase.model.registration")


class _Finder(MetaPathFinder):
    """Finds modules where they are, with a loader that tells us."""

    def __init__(self) -> None:
        self._being_found: set[str] = set()

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        is_needed = fullname in (_AUTO_CLASSES, _MODELS) or fullname.startswith(_OURS)
        if not is_needed or fullname in self._being_found:
            return None
        self._being_found.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._being_found.remove(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads a module as its own loader does, then registers."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> object:
        """Answer for the module's own loader, which knows of its source and more."""
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        _being_imported.add(module.__name__)
        try:
            self._loader.exec_module(module)
        finally:
            _being_imported.remove(module.__name__)
        _register_if_whole()

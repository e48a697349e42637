"""Register our classes at the moment transformers makes its Auto classes.

So `import megabase` costs nothing, and `AutoModelForCausalLM.from_pretrained` knows
our models whichever of the two packages is imported first.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_AUTO_CLASSES = "transformers.models.auto"


def register_with_transformers() -> None:
    """Register at once if the Auto classes are there, else as soon as they are."""
    if _AUTO_CLASSES in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _Finder())


def _register() -> None:
    importlib.import_module("megabase.model.registration")


class _Finder(MetaPathFinder):
    """Finds the Auto classes once, where they are, with a loader that tells us."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _AUTO_CLASSES:
            return None
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
        self._loader.exec_module(module)
        _register()

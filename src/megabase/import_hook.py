"""Register our classes when transformers defines its Auto classes.

An import hook keeps `import megabase` fast, and `AutoModelForCausalLM.from_pretrained`
knows our models whichever of the two packages is imported first. While one of our modules is
being imported, transformers may import the Auto classes; registration then waits until that
module is complete.
"""

import importlib
import importlib.util
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_AUTO_CLASSES = "transformers.models.auto"
_MODELS = "transformers.modeling_utils"  # our models need it complete; it may import Auto classes
_OURS = "megabase.model."

_being_imported: set[str] = set()
"""The modules among these whose import has begun and not ended."""


def register_with_transformers() -> None:
    """Register at once if the Auto classes are already imported, else when they are."""
    sys.meta_path.insert(0, _Finder())
    _register_if_whole()


def _register_if_whole() -> None:
    """Register unless the Auto classes are absent or a module we need is still being imported."""
    if _AUTO_CLASSES in sys.modules and not _being_imported:
        importlib.import_module("megabase.model.load")


class _Finder(MetaPathFinder):
    """Find modules in the usual way, and wrap their loaders in `_RegisteringLoader`."""

    def __init__(self) -> None:
        self._being_found: set[str] = set()

    def find_spec(
        self, fullname: str, path: object, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        is_needed = fullname in (_AUTO_CLASSES, _MODELS) or fullname.startswith(_OURS)
        if not is_needed or fullname in self._being_found:
            return None
        # find_spec below asks this finder again: the mark lets that inner call pass through
        self._being_found.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._being_found.remove(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _RegisteringLoader(spec.loader)
        return spec


class _RegisteringLoader(Loader):
    """Load a module with its own loader, then register our classes."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> object:
        """Return an attribute of the module's own loader, such as its `get_source`."""
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

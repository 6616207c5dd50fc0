"""Modules that are loaded when something of them is first asked for, and not when they are imported.

Python's own `importlib.util.LazyLoader` cannot be used: it loads a package as soon as one of its modules is imported,
and has nothing to hand out to who writes ``from module import name``.
"""

import importlib
import importlib.machinery
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

Names = Mapping[str, Any]
"""Names of a module that are handed out without loading it, and what is handed out."""

_TO_LOAD = "__berth_later__"
"""Where a module keeps what loads it, until that is done."""


def install(modules: Mapping[str, Names]) -> Callable[[], None]:
    """Have these modules loaded later; where one is imported already, or is missing, nothing changes.

    Returns:
        What takes it back, for what is imported from then on.
    """
    finder = _Finder(modules)
    sys.meta_path.insert(0, finder)
    return lambda: sys.meta_path.remove(finder)


def call(module: str, name: str) -> Callable[..., Any]:
    """Something to hand out for a function or class that others only call."""

    def later(*arguments: Any, **named: Any) -> Any:
        return getattr(load(module), name)(*arguments, **named)

    later.__name__ = later.__qualname__ = name
    later.__module__ = module
    return later


def load(name: str) -> types.ModuleType:
    """Import a module, and load it now."""
    module = importlib.import_module(name)
    if isinstance(module, _Later):
        module.load()
    return module


class _Later(types.ModuleType):
    """A module of which there is only what has been handed out, until something else of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        # Python looks here for what the module does not have; whether it is a package is asked by every import.
        if name == "__path__":
            raise AttributeError(name)
        self.load()
        return types.ModuleType.__getattribute__(self, name)

    def load(self) -> None:
        loader: _Loader | None = self.__dict__.get(_TO_LOAD)
        if loader is None:
            return
        # Python's own lock for the import of this module: where two threads would wait for each other, one goes on.
        with importlib._bootstrap._ModuleLockManager(self.__name__):  # type: ignore[attr-defined]  # noqa: SLF001
            if loader.begun:
                # By another thread meanwhile, or this one is at it.
                return
            loader.begun = True
            self.__loader__ = loader.of_the_module
            if self.__spec__ is not None:
                self.__spec__.loader = loader.of_the_module
            try:
                loader.of_the_module.exec_module(self)
            except BaseException:
                sys.modules.pop(self.__name__, None)
                raise
            finally:
                del self.__dict__[_TO_LOAD]


class _Loader:
    def __init__(self, of_the_module: importlib.machinery.SourceFileLoader, names: Names) -> None:
        self.of_the_module = of_the_module
        self.begun = False
        self._names = names

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self.of_the_module.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__.update({**self._names, _TO_LOAD: self})
        module.__class__ = _Later


class _Finder:
    def __init__(self, modules: Mapping[str, Names]) -> None:
        self._modules = modules

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in self._modules:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        # A folder without __init__.py has no loader that could be used later.
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = cast("Any", _Loader(spec.loader, self._modules[fullname]))
        return spec

"""Modules that are loaded when something of them is first asked for, and not when they are imported.

A package is loaded when one of its modules is imported, as ever, unless that module is handed out (`Elsewhere`).

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


def load(name: str) -> types.ModuleType:
    """Import a module, and load it now."""
    module = importlib.import_module(name)
    if isinstance(module, _Later):
        module.load()
    return module


class Later:
    """Something to hand out for a function or a class: whatever is done with it is done with the real one, then loaded.

    It can be called and asked for attributes, named in `isinstance`, and made a subclass of.
    """

    def __init__(self, module: str, name: str) -> None:
        """Args: module, name: where the real one is."""
        self._where = module, name

    def _real(self) -> Any:
        module, name = self._where
        return getattr(load(module), name)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the real one."""
        return self._real()(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        """Whatever the real one has."""
        return getattr(self._real(), name)

    def __instancecheck__(self, instance: object) -> bool:
        """Whether that is one of the real ones."""
        return isinstance(instance, self._real())

    def __subclasscheck__(self, subclass: type) -> bool:
        """Whether that is a kind of the real one."""
        return issubclass(subclass, self._real())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a class is derived from that is derived from this."""
        return (self._real(),)


class Elsewhere:
    """Something to hand out for what a module has from another one, which is imported for it."""

    def __init__(self, module: str, name: str = "") -> None:
        """Args: name: of what is in the module; empty for the module itself."""
        self.module, self._name = module, name

    def get(self) -> Any:
        """Import the module, and take it from there."""
        module = importlib.import_module(self.module)
        return getattr(module, self._name) if self._name else module


class _Later(types.ModuleType):
    """A module of which there is only what has been handed out, until something else of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        # Python looks here for what the module does not have; whether it is a package is asked by every import.
        if name == "__path__":
            raise AttributeError(name)
        loader: _Loader | None = self.__dict__.get(_TO_LOAD)
        if loader is not None and name in loader.elsewhere:
            return loader.elsewhere[name].get()
        self.load()
        return types.ModuleType.__getattribute__(self, name)

    def load(self) -> None:
        loader: _Loader | None = self.__dict__.get(_TO_LOAD)
        if loader is None:
            return
        # As it is without this: a package comes before its modules, and may load this one itself.
        package = sys.modules.get(self.__name__.rpartition(".")[0])
        if isinstance(package, _Later):
            package.load()
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
        self.elsewhere = {name: what for name, what in names.items() if isinstance(what, Elsewhere)}
        self._names = {name: what for name, what in names.items() if name not in self.elsewhere}

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        return self.of_the_module.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__.update({**self._names, _TO_LOAD: self})
        module.__class__ = _Later


def _load_package_first(package: str, name: str) -> importlib.machinery.ModuleSpec | None:
    """Load a package of which a module is imported, as Python does, unless that module is handed out without.

    Returns:
        Where to find the module, if it has been imported by that.
    """
    later: _Loader | None = vars(sys.modules[package]).get(_TO_LOAD)
    if later is None or later.begun or any(what.module == name for what in later.elsewhere.values()):
        return None
    load(package)
    if (module := sys.modules.get(name)) is None:
        return None
    # Python loads it by what it has there.
    module.__spec__ = importlib.machinery.ModuleSpec(name, cast("Any", _Loaded(module)))
    return module.__spec__


class _Loaded:
    """Finds a module that is imported already."""

    def __init__(self, module: types.ModuleType) -> None:
        self._module, self._spec = module, module.__spec__

    def create_module(self, _spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return self._module

    def exec_module(self, module: types.ModuleType) -> None:
        module.__spec__ = self._spec


class _Finder:
    def __init__(self, modules: Mapping[str, Names]) -> None:
        self._modules = modules

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        package = fullname.rpartition(".")[0]
        if package in self._modules and (loaded := _load_package_first(package, fullname)):
            return loaded
        if fullname not in self._modules:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        # A folder without __init__.py has no loader that could be used later.
        if spec is not None and isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            spec.loader = cast("Any", _Loader(spec.loader, self._modules[fullname]))
        return spec

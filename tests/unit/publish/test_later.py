"""Modules that are loaded when they are used."""

from __future__ import annotations

import importlib
import sys
import threading
from typing import TYPE_CHECKING, Any

import later
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "berth_late"
LOADED = [NAME, f"{NAME}.round"]


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was loaded of a package and of a module in it."""
    package = tmp_path / NAME
    package.mkdir()
    told = "import builtins\nbuiltins.berth_loaded.append(__name__)\n"
    (package / "__init__.py").write_text(
        f"{told}def double(x):\n    return 2 * x\nother = 1\nfrom {NAME}.round import mine\n"
    )
    (package / "round.py").write_text(f"{told}from {NAME} import other\nmine = 2\n")
    (package / "inner.py").write_text(f"{told}own = 3\n")
    (package / "broken.py").write_text(f"{told}import berth_is_not_there\n")
    log: list[str] = []
    monkeypatch.setattr("builtins.berth_loaded", log, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    names = {"inner": later.Elsewhere(f"{NAME}.inner"), "double": later.Later(NAME, "double")}
    take_back = later.install({NAME: names, f"{NAME}.broken": {}, "berth_is_not_there": {}})
    yield log
    take_back()
    for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
        del sys.modules[name]


def test_an_import_loads_nothing(loaded: list[str]) -> None:
    importlib.import_module(NAME)
    assert loaded == []


def test_a_module_in_it_that_is_handed_out_does_not_load_the_package(loaded: list[str]) -> None:
    assert importlib.import_module(f"{NAME}.inner").own == 3
    assert importlib.import_module(NAME).inner.own == 3
    assert loaded == [f"{NAME}.inner"]


def test_a_module_in_it_loads_the_package_first(loaded: list[str]) -> None:
    """The package imports it, and it has the package's names: either order is none of whoever imports it."""
    module = importlib.import_module(f"{NAME}.round")
    assert module.other == 1
    assert module is sys.modules[f"{NAME}.round"] is importlib.import_module(NAME).round
    assert module.__spec__.origin == module.__file__
    assert loaded == LOADED


def test_what_is_handed_out_loads_it_when_called(loaded: list[str]) -> None:
    double = importlib.import_module(NAME).double
    assert loaded == []
    assert double(4) == 8
    assert loaded == LOADED
    assert importlib.import_module(NAME).double is not double


def test_another_name_loads_it(loaded: list[str]) -> None:
    scope: dict[str, object] = {}
    exec(f"from {NAME} import other", scope)  # noqa: S102 (as others import it)
    assert (scope["other"], loaded) == (1, LOADED)


def test_a_name_that_it_has_not_is_not_there(loaded: list[str]) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        importlib.import_module(NAME).nothing  # noqa: B018
    assert loaded == LOADED


def test_many_threads_load_it_once(loaded: list[str]) -> None:
    module = importlib.import_module(NAME)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(module.other)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, loaded) == ([1] * 20, LOADED)


def test_one_that_cannot_be_loaded_says_so_each_time(loaded: list[str]) -> None:
    for _ in range(2):
        module = importlib.import_module(f"{NAME}.broken")
        with pytest.raises(ModuleNotFoundError, match="berth_is_not_there"):
            module.anything  # noqa: B018
    assert loaded == [*LOADED, f"{NAME}.broken", f"{NAME}.broken"]


def test_one_that_is_missing_is_missing_at_once(loaded: list[str]) -> None:
    with pytest.raises(ModuleNotFoundError, match="berth_is_not_there"):
        importlib.import_module("berth_is_not_there")
    assert loaded == []


def test_what_is_handed_out_for_a_class_is_used_as_one() -> None:
    thing: Any = later.Later("fractions", "Fraction")

    class Sub(thing):  # type: ignore[misc]
        pass

    assert isinstance(thing(1, 2), thing)
    assert not isinstance(1, thing)
    assert issubclass(Sub, thing)
    assert thing.from_float(0.5) == thing(1, 2) == Sub(1, 2)

"""Modules out of one file: written by the image's build, read by a server, left alone when something has changed."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROLES = Path(__file__).resolve().parents[3] / "roles"
FILES = ROLES / "shared_notebooks" / "files"
MAKE = ROLES / "notebook_image" / "files" / "make_bundle.py"


def python(*arguments: str, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=100, env=environment
    )
    return done.stdout.strip()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of this environment's own single-user server."""
    file = tmp_path_factory.mktemp("whole") / "berth-bundle"
    python("-I", str(MAKE), str(file))
    return file


USE = """
import sys
sys.path.insert(0, {files!r})
import bundle
from pathlib import Path
take_back = bundle.install(Path({file!r}))
"""


def use(file: Path, code: str, **environment: str) -> str:
    return python("-c", USE.format(files=str(FILES), file=str(file)) + code, **environment)


FROM_IT = "type({name}.__spec__.loader).__module__ == 'bundle'"


def test_a_server_comes_from_it(whole: Path) -> None:
    """All modules of JupyterHub, Jupyter's server and JupyterLab, as they are otherwise."""
    code = f"""
import quick_server
quick_server.load()
import jupyterlab.labapp
names = [name for name in sys.modules if name.startswith(("jupyter_server.", "jupyterlab.", "tornado."))]
others = [name for name in names if not {FROM_IT.format(name="sys.modules[name]")}]
print(len(names) > 70, [name for name in others if not name.endswith("speedups")])
import inspect, tornado.web
print(tornado.web.__file__ == tornado.web.__spec__.origin, tornado.web.__cached__.endswith(".pyc"))
print("def render" in inspect.getsource(tornado.web.RequestHandler), tornado.__path__ == [tornado.__file__[:-12]])
"""
    assert use(whole, code).splitlines() == ["True []", "True True", "True True"]


def test_packages_that_a_user_may_have_of_their_own_are_not_in_it(whole: Path) -> None:
    show = "print({entry[0].split('/python3')[0] for entry in sys.meta_path[0]._table.values()} <= {P})"
    places = {str(Path(importlib.util.__file__).parents[1].parent), f"{sys.prefix}/lib"}
    assert use(whole, show.replace("{P}", repr(places))) == "True"


@pytest.fixture
def small(tmp_path: Path) -> tuple[Path, Path]:
    """A package in a folder, and a bundle of it."""
    package = tmp_path / "site" / "pack"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("VALUE = 'bundled'\n")
    python("-m", "compileall", "-q", str(package))
    file = tmp_path / "bundle"
    code = f"""
import sys, sysconfig
sys.path[:0] = [{str(MAKE.parent)!r}, {str(package.parent)!r}]
import pack.one, make_bundle
from pathlib import Path
sysconfig.get_path = lambda name: {str(package.parent)!r}
make_bundle.import_server = lambda: None
make_bundle.main(Path({str(file)!r}))
"""
    assert python("-c", code).startswith("2 modules")
    return package, file


def value(package: Path, file: Path, more: str = "", **environment: str) -> str:
    code = f"sys.path.append({str(package.parent)!r})\n{more}\nimport pack.one\nprint(pack.one.VALUE, {FROM_IT})"
    return use(file, code.format(name="pack.one"), **environment)


def test_what_is_there_comes_from_it(small: tuple[Path, Path]) -> None:
    assert value(*small) == "bundled True"
    assert value(*small, more="take_back()") == "bundled False"


def test_a_source_that_has_changed_does_not(small: tuple[Path, Path]) -> None:
    package, file = small
    (package / "one.py").write_text("VALUE = 'changed since'\n")
    assert value(package, file) == "changed since False"


def test_a_source_that_is_gone_is_not_there(small: tuple[Path, Path]) -> None:
    package, file = small
    (package / "one.py").rename(package / "two.py")
    with pytest.raises(subprocess.CalledProcessError) as found:
        value(package, file)
    assert "No module named 'pack.one'" in found.value.stderr


def test_a_package_of_that_name_from_elsewhere_has_its_own_modules(small: tuple[Path, Path], tmp_path: Path) -> None:
    package, file = small
    other = tmp_path / "other" / "pack"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    (other / "one.py").write_text("VALUE = 'other'\n")
    more = f"sys.path.insert(0, {str(other.parent)!r}); own = sys.meta_path.pop(0); import pack; "
    more += "sys.meta_path.insert(0, own)"
    assert value(package, file, more) == "other False"


def test_a_folder_that_comes_first_has_its_say(small: tuple[Path, Path]) -> None:
    assert value(*small, PYTHONPATH="/somewhere") == "bundled False"


@pytest.mark.parametrize("content", [b"", b"berth-bundle-0\n" + bytes(40), b"berth-bundle-1\nabcd" + bytes(40)])
def test_a_file_of_another_kind_is_left_alone(small: tuple[Path, Path], content: bytes) -> None:
    small[1].write_bytes(content)
    assert value(*small) == "bundled False"


def test_without_a_file_all_is_as_ever(small: tuple[Path, Path]) -> None:
    small[1].unlink()
    assert value(*small) == "bundled False"

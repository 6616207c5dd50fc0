"""What a berth has, may and must not."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hub_client import HubClient
from testinfra.host import Host

InBerth = Callable[[str, str], Any]


def test_limits_and_confinement(host: Host, people: tuple[str, str]) -> None:
    limits = json.loads(host.check_output("docker inspect --format '{{json .HostConfig}}' berth-alice"))
    assert limits["Memory"] == limits["MemorySwap"] == 2 * 1024**3
    assert limits["CpuQuota"] == 2 * limits["CpuPeriod"]
    assert limits["PidsLimit"] == 512
    assert limits["CapDrop"] == ["ALL"]
    assert not limits["CapAdd"]
    assert "no-new-privileges" in limits["SecurityOpt"]
    assert limits["Init"] is True
    assert limits["Privileged"] is False
    assert limits["AutoRemove"] is False


def test_limits_hold_inside(people: tuple[str, str], in_berth: InBerth) -> None:
    status = in_berth("alice", "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status").stdout
    assert [line.split()[1] for line in status.splitlines()] == ["0000000000000000", "0000000000000000", "1"]


def test_user_is_jovyan_without_a_way_up(people: tuple[str, str], in_berth: InBerth) -> None:
    assert in_berth("alice", "id -u; id -un; command -v sudo su-exec gosu").stdout.split() == ["1000", "jovyan"]


def test_home_is_a_plain_directory_of_the_host(host: Host, people: tuple[str, str], in_berth: InBerth) -> None:
    assert in_berth("alice", "echo mine > ~/of-alice.txt").succeeded
    file = host.file("/srv/berth/homes/alice/of-alice.txt")
    assert (file.content_string, file.uid) == ("mine\n", 1000)
    assert in_berth("bob", "ls ~/of-alice.txt").failed
    assert host.file("/srv/berth/homes/alice").mode == 0o700


def test_shared_notebooks_arrive(people: tuple[str, str], in_berth: InBerth) -> None:
    for name in people:
        listed = in_berth(
            name, "for i in $(seq 100); do test -e ~/notebooks/hello.ipynb && break; sleep 0.1; done; ls ~/notebooks"
        ).stdout
        assert {"hello.ipynb", "why-a-hub.ipynb"} <= set(listed.split())


def test_shared_directory_is_read_only(people: tuple[str, str], in_berth: InBerth) -> None:
    assert "Read-only" in in_berth("alice", "touch /opt/berth/shared/x").stderr


def test_no_secret_inside(people: tuple[str, str], in_berth: InBerth) -> None:
    assert in_berth("alice", "ls /etc/berth /var/lib/berth /var/run/docker.sock").stdout == ""


@pytest.mark.parametrize(
    ("package", "floor"),
    [
        ("jupyterhub", "6.1.1"),
        ("jupyter_server", "2.20.0"),
        ("jupyterlab", "4.6.4"),
        ("notebook", "7.6.3"),
        ("tornado", "6.6"),
    ],
)
def test_versions_are_above_the_advisories(
    people: tuple[str, str], in_berth: InBerth, package: str, floor: str
) -> None:
    found = in_berth(
        "alice", f"python -c 'import importlib.metadata as m; print(m.version(\"{package}\"))'"
    ).stdout.strip()
    assert tuple(map(int, found.split("."))) >= tuple(map(int, floor.split(".")))


def test_the_server_is_without_what_it_does_not_use(people: tuple[str, str], in_berth: InBerth) -> None:
    """The hub's database code and HTTP client: their compiled parts would be in the server's memory."""
    assert in_berth("alice", "grep -l _zmq /proc/[0-9]*/maps").succeeded
    assert in_berth("alice", "grep -hE 'sqlalchemy|aiohttp|multidict' /proc/[0-9]*/maps").stdout == ""


@pytest.mark.parametrize(
    ("path", "holds"),
    [
        ("/lab/api/settings/@jupyterlab/apputils-extension:themes", "JupyterLab Light"),
        ("/lab/api/extensions", "jupyterlab_pygments"),
        ("/lsp/status", "basedpyright"),
        ("/api/nbconvert", "application/pdf"),
        ("/nbconvert/html/notebooks/hello.ipynb", "jp-Notebook"),
        ("/api/kernelspecs", "python3"),
    ],
)
def test_what_the_server_loads_later_is_there_when_asked_for(
    hub: HubClient, people: tuple[str, str], path: str, holds: str
) -> None:
    answer = hub.as_user("alice", "GET", path)
    assert (answer.status_code, holds in answer.text) == (200, True), answer.text[:300]


def test_jupyterlabs_page_does_not_wait_for_its_workspace(people: tuple[str, str], in_berth: InBerth) -> None:
    """By a change to what the image holds (`quick_page.py`), which has to be what is served."""
    saves = r"(await|void) \S{1,9}\.invoke\(\)\}\}\),\S{1,9}\.addCommand\(\S{1,9}\.reset,"
    found = in_berth("alice", f"grep -ohE '{saves}' /opt/jupyter/share/jupyter/lab/static/jlab_core.*.js").stdout
    assert [line.split()[0] for line in found.splitlines()] == ["void"]


def test_packages_are_there_and_compiled(people: tuple[str, str], in_berth: InBerth) -> None:
    code = "import ipywidgets, jupyterlab, matplotlib, nbgitpuller, notebook, numpy, pandas; print(pandas.__cached__)"
    compiled = in_berth("alice", f"python -c '{code}'; command -v git").stdout.splitlines()[0]
    assert in_berth("alice", f"test -s {compiled}").succeeded


def test_pip_install_user_lasts(hub: HubClient, people: tuple[str, str], in_berth: InBerth) -> None:
    show = "python -c 'import toolz; print(toolz.__file__, toolz.__version__)'"
    found = in_berth("alice", f"pip install --quiet --user --no-deps toolz==1.0.0 && {show}")
    assert found.stdout.startswith("/home/jovyan/.local/"), found.stderr
    assert in_berth("alice", "pip install --quiet --no-user --no-deps toolz==1.0.0 --target /opt/jupyter/x").failed
    hub.stop("alice")
    hub.start("alice")
    assert in_berth("alice", show).stdout.split()[-1] == "1.0.0"


def test_names_that_look_alike_get_homes_of_their_own(host: Host) -> None:
    code = (
        "import json, socket\n"
        "for name in ['a.b@c', 'a.b-c', 'é' * 255, '../x', 'a/b', '']:\n"
        "    s = socket.socket(socket.AF_UNIX); s.connect('/run/berth-homes.sock')\n"
        "    s.sendall((name + '\\n').encode())\n"
        "    print(json.loads(s.makefile().readline()).get('home', 'refused'))\n"
    )
    command = "setpriv --reuid=berth --regid=berth --init-groups python3 -c %s"
    homes = host.check_output(command, code).split()
    assert homes[3:] == ["refused"] * 3
    assert len(set(homes[:3])) == 3
    assert all(host.file(home).is_directory and host.file(home).uid == 1000 for home in homes[:3])
    assert host.run("setpriv --reuid=65534 --regid=65534 --clear-groups python3 -c %s", code).failed


def test_a_long_unicode_name_works_throughout(hub: HubClient) -> None:
    name = "zoë-" + "ü" * 60
    hub.add_users({"name": name, "password": "a-long-enough-password"})
    hub.start(name)
    assert hub.execute(name, hub.new_kernel(name), "print(6 * 7)").strip() == "42"
    hub.stop(name)
    hub.add_users({"name": name, "state": "absent"})

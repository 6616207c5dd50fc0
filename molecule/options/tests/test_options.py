"""What users, the operator and the engine see of the options that vars/main.yml sets."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from conftest import PASSWORD
from converging import converge, failure, refusal
from hub_client import HubClient, wait_until
from testinfra.host import Host

InBerth = Callable[[str, str], Any]
SCENARIO = Path(__file__).resolve().parents[1]
THEMES = "@jupyterlab/apputils-extension:themes"
GIB = 1024**3
GROUPS = {"students": ["alice", "carol"], "staff": ["alice"]}
NAMES = ("alice", "bob", "carol")


@pytest.fixture(scope="session", autouse=True)
def members(hub: HubClient) -> Iterator[None]:
    """Alice is student and staff, Carol a student, Bob in no group."""
    hub.add_users(*({"name": name, "password": PASSWORD} for name in NAMES))
    for group, names in GROUPS.items():
        as_admin(hub, "POST", f"/groups/{group}", allowed=(requests.codes.conflict,))
        as_admin(hub, "POST", f"/groups/{group}/users", json={"users": names})
    yield
    for name in NAMES:
        hub.stop(name)


@pytest.fixture(scope="session")
def browser(hub: HubClient) -> Callable[[str], requests.Session]:
    """A browser in which somebody is logged in."""
    known: dict[str, requests.Session] = {}

    def log_in(name: str, password: str = PASSWORD) -> requests.Session:
        if name not in known:
            session = known[name] = requests.Session()
            session.trust_env, session.verify = False, hub.ca
            session.get(f"{hub.url}/hub/login", timeout=30)
            form = {"username": name, "password": password, "_xsrf": session.cookies.get("_xsrf", path="/hub/") or ""}
            answer = session.post(f"{hub.url}/hub/login?next=/hub/token", data=form, timeout=30)
            assert answer.ok, answer.text
        return known[name]

    return log_in


def as_admin(hub: HubClient, method: str, path: str, allowed: tuple[int, ...] = (), **more: Any) -> requests.Response:
    """Ask the hub's API as its admin, who may manage groups."""
    headers = {"Authorization": f"token {hub.token('admin')}"}
    answer = hub.session.request(method, f"{hub.url}/hub/api{path}", headers=headers, timeout=60, **more)
    assert answer.ok or answer.status_code in allowed, answer.text
    return answer


def request_start(
    hub: HubClient, user: str, options: dict[str, Any] | None = None, server: str = ""
) -> requests.Response:
    """Ask for a server to start, as that user does by the API."""
    path = f"/users/{user}/servers/{server}" if server else f"/users/{user}/server"
    headers = {"Authorization": f"token {hub.token(user)}"}
    return hub.session.post(f"{hub.url}/hub/api{path}", headers=headers, json=options, timeout=150)


def start(hub: HubClient, user: str, options: dict[str, Any] | None = None) -> None:
    """Start a server anew."""
    hub.stop(user)
    answer = request_start(hub, user, options)
    assert answer.ok, answer.text
    wait_until(lambda: (hub.server(user) or {}).get("ready"), 120)


def inspected(host: Host, container: str) -> dict[str, Any]:
    """What the engine says of a container."""
    found: dict[str, Any] = json.loads(host.check_output("docker inspect %s", container))[0]
    return found


def environment(container: dict[str, Any]) -> dict[str, str]:
    """Its environment."""
    return dict(line.split("=", 1) for line in container["Config"]["Env"])


def first(pattern: str, text: str) -> str:
    """What the pattern's group matches."""
    found = re.search(pattern, text)
    assert found is not None, f"no {pattern} in {text}"
    return found[1]


def offered(page: str) -> list[str]:
    """Profiles on the page on which they are chosen, the chosen one with a star."""
    radios = re.findall(r'<input[^>]*name="profile"[^>]*>', page)
    return [first(r'value="([^"]*)"', radio) + ("*" if " checked" in radio else "") for radio in radios]


class TestProfiles:
    """Kinds of berths to choose from."""

    def test_everybody_is_offered_what_their_groups_may_have(self, hub: HubClient, browser: Any) -> None:
        page = browser("bob").get(f"{hub.url}/hub/spawn", timeout=30).text
        assert offered(page) == ["small", "usual*"]
        assert "For &lt;reading&gt;." in page
        assert "0.25 GB memory, 1.5 processors" in page
        assert offered(browser("alice").get(f"{hub.url}/hub/spawn", timeout=30).text) == ["small", "usual*", "large"]

    @pytest.mark.parametrize(
        ("options", "reason"),
        [
            ({"profile": "huge"}, 'there is no profile "huge" for you; yours are: small, usual'),
            ({"profile": "large"}, 'there is no profile "large" for you; yours are: small, usual'),
            ({"profile": ["large"]}, "yours are: small, usual"),
            ({"image": "debian"}, 'there is no option "image" for a server'),
        ],
    )
    def test_anything_else_is_refused_by_the_server(
        self, hub: HubClient, host: Host, options: dict[str, Any], reason: str
    ) -> None:
        hub.stop("bob")
        answer = request_start(hub, "bob", options)
        assert answer.status_code == requests.codes.bad_request
        assert reason in answer.json()["message"]
        assert host.run("docker inspect berth-bob").failed

    def test_the_page_refuses_it_too(self, hub: HubClient, browser: Any) -> None:
        session = browser("bob")
        hub.stop("bob")
        page = session.get(f"{hub.url}/hub/spawn", timeout=30).text
        action = first(r'id="spawn_form"\s+action="([^"]+)"', page).replace("&amp;", "&")
        answer = session.post(f"{hub.url}{action}", data={"profile": "large"}, timeout=60)
        assert answer.status_code == requests.codes.bad_request
        assert "yours are: small, usual" in answer.text
        assert hub.server("bob") is None

    def test_limits_come_from_profile_groups_and_site(self, hub: HubClient, host: Host) -> None:
        start(hub, "alice", {"profile": "large"})
        found = inspected(host, "berth-alice")
        limits = found["HostConfig"]
        assert limits["Memory"] == limits["MemorySwap"] == 3 * GIB, "the profile's"
        assert limits["CpuQuota"] == limits["CpuPeriod"] // 2, "of students, who alone have a limit"
        assert limits["PidsLimit"] == 600, "of staff"
        assert limits["CapDrop"] == ["ALL"]
        assert environment(found)["COURSE"] == "physics"
        assert "KIND" not in environment(found)
        assert environment(found)["MEM_LIMIT"] == str(3 * GIB)

    def test_what_was_chosen_last_is_chosen_again(self, hub: HubClient, host: Host, browser: Any) -> None:
        start(hub, "alice", {"profile": "large"})
        hub.stop("alice")
        page = browser("alice").get(f"{hub.url}/hub/spawn", timeout=30).text
        assert offered(page) == ["small", "usual", "large*"]
        start(hub, "alice")
        assert inspected(host, "berth-alice")["HostConfig"]["Memory"] == 3 * GIB

    def test_whoever_leaves_the_group_gets_the_default_again(self, hub: HubClient, host: Host) -> None:
        start(hub, "alice", {"profile": "large"})
        as_admin(hub, "DELETE", "/groups/staff/users", json={"users": ["alice"]})
        try:
            start(hub, "alice")
            found = inspected(host, "berth-alice")
            assert found["HostConfig"]["Memory"] == GIB // 2, "of students"
            assert found["HostConfig"]["PidsLimit"] == 512, "of all"
            assert environment(found)["KIND"] == "usual"
        finally:
            as_admin(hub, "POST", "/groups/staff/users", json={"users": ["alice"]})
        start(hub, "alice", {"profile": "usual"})
        assert inspected(host, "berth-alice")["HostConfig"]["Memory"] == GIB, "the larger of students and staff"


class TestPages:
    """What the hub's pages show."""

    @pytest.mark.parametrize("page", ["login", "home", "spawn", "admin", "token"])
    def test_the_announcement_is_on_them_as_text(self, hub: HubClient, host: Host, browser: Any, page: str) -> None:
        if page == "login":
            text = hub.session.get(f"{hub.url}/hub/login", timeout=30).text
        else:
            hub.stop("bob")
            password = host.check_output("cat /etc/berth/secrets/admin_password")
            session = browser("admin", password) if page == "admin" else browser("bob")
            text = session.get(f"{hub.url}/hub/{page}", timeout=30).text
        assert "Maintenance &lt;b&gt;on Friday&lt;/b&gt;, see" in text
        assert '<a href="https://example.org/news" rel="noopener" target="_blank">' in text
        assert "<b>on Friday" not in text

    def test_the_logo_is_the_sites(self, hub: HubClient) -> None:
        answer = hub.session.get(f"{hub.url}/hub/logo", timeout=30)
        assert answer.headers["Content-Type"] == "image/svg+xml"
        assert answer.content == (SCENARIO / "logo.svg").read_bytes()


class TestNamedServers:
    """More than one server for each user."""

    def test_there_is_a_limit_and_the_home_is_the_same(self, hub: HubClient, host: Host, in_berth: InBerth) -> None:
        start(hub, "bob")
        answer = request_start(hub, "bob", {"profile": "small"}, "second")
        assert answer.ok, answer.text
        wait_until(lambda: hub.api("GET", "/users/bob")["servers"].get("second", {}).get("ready"), 120)
        third = request_start(hub, "bob", None, "third")
        assert third.status_code == requests.codes.bad_request
        assert "already has the maximum of 1 named servers" in third.json()["message"]
        assert in_berth("bob", "echo here >from-first").succeeded
        second = "berth-bob.second"
        assert host.check_output("docker exec %s cat from-first", second) == "here"
        assert inspected(host, second)["HostConfig"]["Memory"] == GIB // 4
        assert inspected(host, "berth-bob")["HostConfig"]["Memory"] == 2 * GIB
        hub.api("DELETE", "/users/bob/servers/second", json={"remove": True})
        wait_until(lambda: host.run("docker inspect %s", second).failed)


class TestManyAtOnce:
    """More than the two that may start at once."""

    NAMES = tuple(f"early{number}" for number in range(8))

    @pytest.fixture(autouse=True)
    def everybody(self, hub: HubClient) -> Iterator[None]:
        """They are there for this only."""
        hub.add_users(*({"name": name, "password": PASSWORD} for name in self.NAMES))
        yield
        hub.add_users(*({"name": name, "state": "absent"} for name in self.NAMES))

    def test_all_start_in_the_order_in_which_they_came_and_see_their_place(self, hub: HubClient, host: Host) -> None:
        with ThreadPoolExecutor(len(self.NAMES) + 1) as pool:
            answers = []
            for name in self.NAMES:
                answers.append(pool.submit(hub.api, "POST", f"/users/{name}/server"))
                wait_until(partial(hub.server, name), every=0.01)
            told = pool.submit(self.progress, hub, self.NAMES[-1]).result(120)
            for answer in answers:
                answer.result(120)
        wait_until(lambda: all((hub.server(name) or {}).get("ready") for name in self.NAMES), 120)
        places = [
            int(found[1]) for event in told if (found := re.search(r"(\d+) (is|are) before yours", event["message"]))
        ]
        assert places == sorted(places, reverse=True)
        assert any(event["message"].endswith("yours is next.") for event in told)
        made = sorted(self.NAMES, key=lambda name: str(inspected(host, f"berth-{name}")["Created"]))
        # Two start at once, and either may be the first.
        assert all(abs(made.index(name) - place) <= 1 for place, name in enumerate(self.NAMES)), made

    @staticmethod
    def progress(hub: HubClient, name: str) -> list[dict[str, Any]]:
        """What the page that waits is told."""
        url = f"{hub.url}/hub/api/users/{name}/server/progress"
        with requests.get(url, headers=hub.operator, verify=hub.ca, stream=True, timeout=60) as answer:
            rows = answer.iter_lines(1)
            told = [json.loads(row.removeprefix(b"data:")) for row in rows if row.startswith(b"data:")]
        assert told[-1].get("ready"), told
        return told


class TestSharedFolders:
    """Folders that more than one user has."""

    @pytest.fixture(autouse=True)
    def servers(self, hub: HubClient) -> None:
        """Everybody's, started since all are in their groups."""
        for name in NAMES:
            hub.start(name)

    def test_only_the_group_has_it(self, in_berth: InBerth) -> None:
        assert in_berth("alice", "ls shared").stdout.split() == ["data", "project"]
        assert in_berth("bob", "ls shared").stdout.split() == ["data"]
        assert "project" not in in_berth("bob", "cat /proc/mounts").stdout

    def test_one_that_is_to_read_cannot_be_written(self, host: Host, in_berth: InBerth) -> None:
        host.check_output("echo measured >/srv/berth/folders/data/values.txt")
        assert in_berth("bob", "cat shared/data/values.txt").stdout == "measured\n"
        assert "Read-only" in in_berth("bob", "touch shared/data/x").stderr

    @pytest.mark.parametrize(("umask", "mode"), [("022", "644"), ("077", "600"), ("777", "0")])
    def test_nobody_locks_out_the_second_writer(self, in_berth: InBerth, umask: str, mode: str) -> None:
        """Whatever mode a program gives to a file or folder."""
        made = f"umask {umask}; cd shared/project; mkdir {umask}; chmod u+rwx {umask}; echo alice >{umask}/file"
        assert in_berth("alice", made).succeeded
        assert in_berth("alice", f"stat -c %a shared/project/{umask}/file").stdout.strip() == mode
        edit = f"chmod u+rw shared/project/{umask}/file && echo carol >>shared/project/{umask}/file"
        assert in_berth("carol", edit).succeeded
        assert in_berth("carol", f"touch shared/project/{umask}/another").succeeded
        assert in_berth("alice", f"cat shared/project/{umask}/file").stdout == "alice\ncarol\n"
        assert in_berth("alice", f"rm -r shared/project/{umask}").succeeded

    def test_two_users_edit_one_notebook_through_jupyter(self, hub: HubClient) -> None:
        """Jupyter writes files of mode 0644 or 0600 through another name; the second one must still be able to."""
        path = "/api/contents/shared/project/both.txt"
        for name in ("alice", "carol", "alice"):
            body = {"type": "file", "format": "text", "content": f"by {name}"}
            answer = hub.as_user(name, "PUT", path, json=body)
            assert answer.ok, answer.text
        assert hub.as_user("carol", "GET", path).json()["content"] == "by alice"

    def test_nothing_planted_there_is_loaded(self, hub: HubClient, in_berth: InBerth) -> None:
        plant = (
            "cd shared/project && mkdir -p .jupyter share/jupyter/kernels/evil kernels/evil"
            ' && echo \'open("/home/jovyan/planted", "w")\' | tee jupyter_server_config.py jupyter_config.py'
            " .jupyter/jupyter_server_config.py jupyterhub_config.py ipython_config.py sitecustomize.py >/dev/null"
            ' && echo \'{"argv": ["true"], "display_name": "evil", "language": "python"}\''
            " | tee share/jupyter/kernels/evil/kernel.json kernels/evil/kernel.json >/dev/null"
            " && mkdir -p share/jupyter/lab/settings lab/settings"
            f" && echo '{json.dumps({THEMES: {'theme': 'evil'}})}'"
            " | tee overrides.json share/jupyter/lab/settings/overrides.json lab/settings/overrides.json >/dev/null"
        )
        assert in_berth("alice", plant).succeeded
        start(hub, "carol")
        assert "evil" not in hub.as_user("carol", "GET", "/api/kernelspecs").json()["kernelspecs"]
        shown = hub.as_user("carol", "GET", f"/lab/api/settings/{THEMES}")
        assert shown.status_code == requests.codes.ok
        assert shown.json()["schema"]["properties"]["theme"]
        assert "evil" not in shown.text
        kernel = hub.as_user("carol", "POST", "/api/kernels", json={"name": "python3", "path": "shared/project"}).json()
        assert hub.execute("carol", kernel["id"], "import os; print(os.getcwd())").strip().endswith("/shared/project")
        assert in_berth("carol", "test -e planted").failed


class TestFragments:
    """Configuration of the site's own."""

    def test_they_are_loaded_in_order(self, hub: HubClient, host: Host) -> None:
        start(hub, "bob")
        assert environment(inspected(host, "berth-bob"))["SITE_FRAGMENT"] == "first second"

    def test_users_of_the_host_cannot_read_them(self, host: Host) -> None:
        fragment = host.file("/etc/berth/jupyterhub_config.d/10-first.py")
        assert (fragment.user, fragment.group, fragment.mode) == ("root", "berth", 0o640)


class TestConvergedAgain:
    """Options changed, and taken away."""

    def test_a_fragment_that_fails_changes_nothing(self, hub: HubClient, host: Host, tmp_path: Path) -> None:
        (tmp_path / "10-first.py").write_text("c.JupyterHub.active_server_limit = 3\n")
        (tmp_path / "50-broken.py").write_text("# the second line fails\nc.JupyterHub.load_roles = undefined_name\n")
        laid = "cat /etc/berth/jupyterhub_config.d/* /etc/berth/hub.json; systemctl show -p MainPID berth-hub.service"
        before = host.check_output(laid)
        message = refusal(
            variables={**variables(), "jupyterhub_config_d": str(tmp_path), "jupyterhub_named_servers": 7}
        )
        assert "jupyterhub_config_d: 50-broken.py, line 2: NameError: name 'undefined_name' is not defined" in message
        assert host.check_output(laid) == before
        assert hub.healthy()

    def test_a_profile_whose_image_cannot_be_had_or_run_changes_nothing(self, hub: HubClient, host: Host) -> None:
        image = json.loads(host.check_output("cat /etc/berth/hub.json"))["berth"]["image"]
        host.check_output(f"printf 'FROM {image}\\nENV PATH=/usr/bin:/bin\\n' | docker build -q -t berth/bare:1 -")
        before = host.check_output("sha256sum /etc/berth/hub.json")
        for wrong, said in (
            ("berth/bare:1", "berth/bare:1: it has no jupyterhub-singleuser on its PATH"),
            (
                "localhost:1/nobody/has:1",
                "image localhost:1/nobody/has:1 of profile wrong is not on the host and cannot",
            ),
        ):
            given = {**variables(), "notebook_image_profiles": [{"name": "wrong", "image": wrong}]}
            assert said in refusal(variables=given, tags=["notebook_image", "jupyterhub"])
        assert host.check_output("sha256sum /etc/berth/hub.json") == before
        assert hub.healthy()

    def test_an_image_that_cannot_be_made_is_told_and_leaves_nothing(self, hub: HubClient, host: Host) -> None:
        """Least of all an empty base, on which every later one would fail."""
        images = "docker image ls --all --quiet | sort; docker ps --all --quiet | sort; sha256sum /etc/berth/hub.json"
        before = host.check_output(images)
        nowhere = {**variables(), "notebook_image_mirror": "http://127.0.0.1:9/debian"}
        assert "127.0.0.1:9" in failure(variables=nowhere, tags=["notebook_image", "jupyterhub"])
        assert host.check_output(images) == before
        nothing = {**variables(), "notebook_image_packages": ["berth-has-no-such-package==1"]}
        assert "berth-has-no-such-package was not found" in failure(variables=nothing, tags=["notebook_image"])
        assert host.check_output("docker ps --all --quiet | sort; sha256sum /etc/berth/hub.json") in before
        assert hub.healthy()

    def test_options_can_be_changed_and_taken_away(self, hub: HubClient, host: Host, browser: Any) -> None:
        image = json.loads(host.check_output("cat /etc/berth/hub.json"))["berth"]["image"]
        host.check_output(f"printf 'FROM {image}\\nENV OWN=yes\\n' | docker build -q -t berth/other:1 -")
        host.check_output("echo kept >/srv/berth/folders/project/kept")
        given = {**variables(), "jupyterhub_interface": "notebook", "jupyterhub_start": "page", "jupyterhub_gpus": 0}
        given["notebook_image_profiles"] = [
            {"name": "usual", "default": True},
            {"name": "other", "image": "berth/other:1", "memory": "300M"},
        ]
        given["jupyterhub_active_servers_max"] = 2
        given |= {"jupyterhub_idle": "stop", "jupyterhub_idle_seconds": 48, "jupyterhub_idle_check_seconds": 5}
        for name in ("announcement", "logo", "config_d"):
            given[f"jupyterhub_{name}"] = ""
        given["jupyterhub_named_servers"] = 0
        given["jupyterhub_shared_folders"] = [{"name": "data"}]
        for name in NAMES:
            hub.stop(name)
        converge(variables=given)
        assert host.run("ls /etc/berth/logo.* /etc/berth/jupyterhub_config.d/*").stdout == ""
        assert host.file("/srv/berth/folders/project/kept").content_string == "kept\n"
        page = browser("alice").get(f"{hub.url}/hub/", timeout=30)
        assert page.url == f"{hub.url}/hub/home"
        assert "Maintenance" not in page.text

        page = browser("alice").get(f"{hub.url}/hub/spawn", timeout=30)
        assert [name.rstrip("*") for name in offered(page.text)] == ["usual", "other"]
        start(hub, "alice", {"profile": "other"})
        found = inspected(host, "berth-alice")
        assert found["Config"]["Image"] == "berth/other:1"
        assert (environment(found)["OWN"], "SITE_FRAGMENT" in environment(found)) == ("yes", False)
        assert found["HostConfig"]["Memory"] == 300 * 1024**2
        there = host.check_output("docker exec berth-alice cat /proc/mounts")
        assert "shared/data" in there
        assert "project" not in there
        # What is left of it, if anything, is where it was mounted.
        assert host.run("docker exec berth-alice ls -A shared/project").stdout == ""
        kernel = hub.new_kernel("alice")
        assert hub.execute("alice", kernel, "print(6 * 7)").strip() == "42"
        assert (
            hub.as_user("alice", "GET", "/", allow_redirects=False).headers["Location"].startswith("/user/alice/tree")
        )
        for path in ("/lab", "/lab/tree/notebooks/hello.ipynb", "/tree", "/notebooks/notebooks/hello.ipynb"):
            assert hub.as_user("alice", "GET", path).ok, path

        start(hub, "carol")
        usual = inspected(host, "berth-carol")
        assert (usual["Config"]["Image"], "OWN" in environment(usual)) == (image, False)
        refused = request_start(hub, "bob")
        assert refused.status_code == requests.codes.too_many_requests
        assert "Active user limit exceeded" in refused.json()["message"]
        assert request_start(hub, "alice", None, "second").status_code == requests.codes.bad_request
        hub.stop("alice")


class TestIdle:
    """Servers that nobody uses are stopped, others are not; after the converge above, which sets the time."""

    def test_an_idle_server_is_stopped_and_an_active_one_is_not(self, hub: HubClient) -> None:
        start(hub, "bob")
        start(hub, "carol")
        kernel = hub.new_kernel("carol")

        def bob_is_stopped() -> bool:
            assert hub.execute("carol", kernel, "print('at work')").strip() == "at work"
            return hub.server("bob") is None

        wait_until(bob_is_stopped, 300, every=1)
        # A look or two of the culler's later, still.
        until = time.monotonic() + 15
        while time.monotonic() < until:
            assert bob_is_stopped()
        assert (hub.server("carol") or {}).get("ready")


def state_of(host: Host, name: str) -> str:
    """Of a container, as the engine calls it; empty if there is none."""
    return str(host.run("docker inspect --format '{{.State.Status}}' %s", name).stdout.strip())


@pytest.mark.usefixtures("kernel")
class TestSleep:
    """An idle server is frozen with its kernels, and goes on where it was."""

    SECONDS = 20

    @pytest.fixture(scope="class")
    @classmethod
    def kernel(cls, hub: HubClient) -> str:
        """Of bob's, with a variable in it."""
        given = {
            **variables(),
            "jupyterhub_start": "page",
            "jupyterhub_idle": "sleep",
            "jupyterhub_idle_seconds": cls.SECONDS,
            "jupyterhub_idle_check_seconds": 5,
            "notebook_image_profiles": [{"name": "usual", "default": True}, {"name": "other", "memory": "300M"}],
        }
        for name in NAMES:
            hub.stop(name)
        converge(variables=given, tags=["jupyterhub", "proxy"])
        wait_until(hub.healthy, 120)
        start(hub, "bob")
        kernel = hub.new_kernel("bob")
        assert hub.execute("bob", kernel, "count = 1") == ""
        return kernel

    @staticmethod
    def fall_asleep(hub: HubClient, host: Host, name: str = "bob") -> None:
        """At once, unless it is asleep: it may have been idle for long enough meanwhile."""
        hub.session.post(f"{hub.url}/hub/api/berth/sleep/{name}", headers=hub.operator, timeout=60)
        wait_until(partial(is_frozen, host, name))
        wait_until(lambda: hub.server(name) is None)

    @staticmethod
    def wake(hub: HubClient, options: dict[str, Any] | None = None) -> None:
        answer = request_start(hub, "bob", options)
        assert answer.ok, answer.text
        wait_until(lambda: (hub.server("bob") or {}).get("ready"), 120)

    @staticmethod
    def token_works(hub: HubClient, token: str) -> bool:
        headers = {"Authorization": f"token {token}"}
        return bool(hub.session.get(f"{hub.url}/hub/api/user", headers=headers, timeout=60).ok)

    @pytest.fixture
    def token(self, host: Host) -> str:
        """What bob's server proves itself with."""
        return str(environment(inspected(host, "berth-bob"))["JUPYTERHUB_API_TOKEN"])

    def test_an_idle_server_falls_asleep_and_an_active_one_does_not(self, hub: HubClient, host: Host) -> None:
        start(hub, "carol")
        at_work = hub.new_kernel("carol")

        def bob_sleeps() -> bool:
            assert hub.execute("carol", at_work, "print('at work')") == "at work\n"
            return state_of(host, "berth-bob") == "paused"

        wait_until(bob_sleeps, 300, every=1)
        wait_until(lambda: hub.server("bob") is None)
        assert [(one["user"], one["server"]) for one in hub.api("GET", "/berth/sleep")] == [("bob", "")]
        assert state_of(host, "berth-carol") == "running"

    def test_its_memory_is_given_back(self, host: Host) -> None:
        """Of files, since the machine may have no swap."""
        group = memory_group(host, "berth-bob")
        host.check_output("rm -f /run/berth-reclaim/*")
        host.check_output("systemctl start berth-reclaim.service")
        files = sum(
            int(line.split()[1])
            for line in host.check_output("cat %s/memory.stat", group).splitlines()
            if line.split()[0] in ("active_file", "inactive_file")
        )
        assert files < 4 * 1024**2
        container = host.check_output("docker inspect --format '{{.Id}}' berth-bob")
        assert host.check_output("ls /run/berth-reclaim") in (container, f"docker-{container}.scope")

    def test_opening_a_page_of_it_wakes_it(self, hub: HubClient, browser: Any, kernel: str) -> None:
        """Without a choice of profiles; tests/browser sees that the page goes there by itself."""
        as_people_do = {"Accept": "text/html"}
        page = browser("bob").get(f"{hub.url}/user/bob/lab", headers=as_people_do, timeout=30)
        assert page.status_code == requests.codes.failed_dependency
        assert 'id="wakes"' in page.text
        follows = json.loads(first(r"location\.replace\((\".*?\") \+", page.text))
        arrived = browser("bob").get(f"{hub.url}{follows}", headers=as_people_do, timeout=60)
        assert (arrived.status_code, arrived.url.partition("?")[0]) == (requests.codes.ok, f"{hub.url}/user/bob/lab")
        assert hub.execute("bob", kernel, "count += 1; print(count)") == "2\n"
        assert "bob" not in [one["user"] for one in hub.api("GET", "/berth/sleep")]

    def test_it_sleeps_through_a_restart_of_the_hub(self, hub: HubClient, host: Host, kernel: str, token: str) -> None:
        self.fall_asleep(hub, host)
        host.check_output("systemctl restart berth-hub.service")
        wait_until(hub.healthy, 120)
        assert state_of(host, "berth-bob") == "paused"
        self.wake(hub)
        assert hub.execute("bob", kernel, "count += 1; print(count)") == "3\n"
        assert environment(inspected(host, "berth-bob"))["JUPYTERHUB_API_TOKEN"] == token
        assert self.token_works(hub, token)

    def test_a_real_stop_is_one(self, hub: HubClient, host: Host, token: str) -> None:
        """Of one that is awake, and of one that sleeps, by who owns it; neither leaves a token behind."""
        self.fall_asleep(hub, host)
        address = f"{hub.url}/hub/api/berth/sleep/bob"
        headers = {name: {"Authorization": f"token {hub.token(name)}"} for name in NAMES}
        assert hub.session.delete(address, headers=headers["carol"], timeout=60).status_code == requests.codes.not_found
        assert state_of(host, "berth-bob") == "paused"
        assert hub.session.delete(address, headers=headers["bob"], timeout=60).ok
        assert (state_of(host, "berth-bob"), self.token_works(hub, token)) == ("", False)
        assert "bob" not in [one["user"] for one in hub.api("GET", "/berth/sleep")]
        self.wake(hub)
        hub.stop("bob")
        assert state_of(host, "berth-bob") == ""

    def test_another_profile_is_another_berth(self, hub: HubClient, host: Host) -> None:
        self.wake(hub, {"profile": "usual"})
        before = inspected(host, "berth-bob")
        token = environment(before)["JUPYTERHUB_API_TOKEN"]
        self.fall_asleep(hub, host)
        self.wake(hub, {"profile": "other"})
        after = inspected(host, "berth-bob")
        assert after["Id"] != before["Id"]
        assert after["HostConfig"]["Memory"] == 300 * 1024**2
        assert not self.token_works(hub, token)

    def test_who_has_left_the_groups_does_not_get_their_folder_back(
        self, hub: HubClient, host: Host, in_berth: InBerth
    ) -> None:
        start(hub, "alice")
        assert "shared/project" in in_berth("alice", "cat /proc/mounts").stdout
        groups = ["students", "staff"]
        self.fall_asleep(hub, host, "alice")
        hub.add_users({"name": "alice", "groups_absent": groups})
        try:
            hub.start("alice")
            assert "shared/project" not in in_berth("alice", "cat /proc/mounts").stdout
        finally:
            hub.add_users({"name": "alice", "groups": groups})

    def test_one_that_is_gone_starts_anew(self, hub: HubClient, host: Host) -> None:
        """As after a restart of the host."""
        self.fall_asleep(hub, host)
        host.check_output("docker kill berth-bob")
        assert "bob" not in [one["user"] for one in hub.api("GET", "/berth/sleep")]
        self.wake(hub)
        assert state_of(host, "berth-bob") == "running"

    def test_what_sleeps_goes_with_its_user(self, hub: HubClient, host: Host) -> None:
        hub.add_users({"name": "dave", "password": PASSWORD})
        start(hub, "dave")
        self.fall_asleep(hub, host, "dave")
        as_admin(hub, "DELETE", "/users/dave")
        wait_until(lambda: state_of(host, "berth-dave") == "")

    def test_the_oldest_sleep_ends_when_memory_is_short(self, hub: HubClient, host: Host) -> None:
        """A machine cannot be made short of memory without harm: what the hub reads of it is another file here."""
        for name in ("bob", "carol"):
            hub.start(name)
            self.fall_asleep(hub, host, name)
            time.sleep(1.1)  # they are told apart by the second
        assert [one["user"] for one in hub.api("GET", "/berth/sleep")] == ["bob", "carol"]
        seen = "nsenter --mount --target $(systemctl show -P MainPID berth-hub.service) cat /run/berth-meminfo"
        assert "MemAvailable:" in host.check_output(seen)
        told = "/var/lib/berth/hub/meminfo"
        host.check_output(f"printf 'MemTotal: 100 kB\\nMemAvailable: 11 kB\\n' >{told} && chown berth: {told}")
        host.check_output(f"sed -i 's,/run/berth-meminfo,{told},' /etc/berth/hub.json")
        host.check_output("systemctl restart berth-hub.service")
        wait_until(hub.healthy, 120)
        host.check_output(f"sed -i 's/: 11 kB/: 9 kB/' {told}")
        # Whether it is enough is looked at after each: here it never is.
        wait_until(lambda: state_of(host, "berth-carol") == "")
        assert state_of(host, "berth-bob") == ""
        journal = host.check_output("journalctl -u berth-hub.service -o cat --since=-60s")
        assert re.findall(r"(\w+) is stopped: of the host", journal) == ["bob", "carol"]


def is_frozen(host: Host, user: str) -> bool:
    """Whether a user's berth is."""
    return state_of(host, f"berth-{user}") == "paused"


def memory_group(host: Host, container: str) -> str:
    """Folder of the control group that bounds a container's memory."""
    pid = host.check_output("docker inspect --format '{{.State.Pid}}' %s", container)
    lines = [line.split(":", 2) for line in host.check_output("cat /proc/%s/cgroup", pid).splitlines()]
    for _, controllers, path in lines:
        if controllers == "memory":
            return f"/sys/fs/cgroup/memory{path}"
    return f"/sys/fs/cgroup{lines[0][2]}"


def variables() -> dict[str, Any]:
    """What the host was converged with."""
    read: dict[str, Any] = yaml.safe_load((SCENARIO / "vars" / "main.yml").read_text(encoding="utf-8"))
    return read

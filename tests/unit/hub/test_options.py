"""Options of a site: what is refused, which limit counts, what a spawner is given and what the pages show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from berth_hub.allotment import Allotment, allot, profiles_for
from berth_hub.config import configure
from berth_hub.options import Choice, in_words
from berth_hub.settings import Berth, load
from berth_hub.settings.options import Options
from berth_hub.spawner import BerthSpawner
from docker.types import HostConfig
from jupyterhub.app import JupyterHub
from tornado.web import HTTPError
from traitlets.config import Config

from tests.unit.hub.conftest import SETTINGS, write_settings
from tests.unit.hub.test_config import configured

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3
OF_ALL = Allotment(image="berth/notebook:1", memory=2 * GIB, cpus=2, pids=512, environment={"TZ": "UTC"})
SITE: dict[str, Any] = {
    "gpus": 1,
    "profiles": [
        {"name": "small", "title": "Small <i>", "description": "For & reading", "memory": "512M"},
        {"name": "usual", "default": True, "environment": {"KIND": "usual"}},
        {"name": "large", "memory": "8G", "gpus": "all", "image": "site/gpu:1", "groups": ["staff"]},
    ],
    "groups": {
        "students": {"memory": "1G", "cpus": 4, "environment": {"WHO": "student", "TZ": "CET"}},
        "staff": {"memory": "3G", "cpus": 3, "environment": {"WHO": "staff"}},
    },
    "folders": [
        {"name": "data", "path": "/srv/berth/folders/data"},
        {"name": "project", "path": "/mnt/nfs/project", "mode": "group-writable", "groups": ["staff"]},
    ],
}


def mistakes(tmp_path: Path, **options: Any) -> list[str]:
    path = write_settings(tmp_path / "hub.json", options=options)
    with pytest.raises(ValueError, match=r".") as caught:
        load(path)
    return [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        (
            {"profiles": [{"name": "a"}, {"name": "b", "memory": "12X"}]},
            'options.profiles.1.memory: "12X" is no amount of memory',
        ),
        ({"profiles": [{"name": "a", "memry": "1G"}]}, "options.profiles.0.memry: no such setting"),
        ({"profiles": [{"title": "A"}]}, "options.profiles.0.name: is missing"),
        ({"profiles": [{"name": "A b"}]}, 'options.profiles.0.name: "A b" is no name of a profile'),
        ({"profiles": [{"name": "a", "cpus": 0}]}, "options.profiles.0.cpus: Input should be greater than 0"),
        ({"profiles": [{"name": "a", "pids": 5}]}, "options.profiles.0.pids: Input should be greater"),
        ({"profiles": [{"name": "a", "gpus": "some"}]}, 'options.profiles.0.gpus: "some" is no number of GPUs'),
        ({"profiles": [{"name": "a", "gpus": True}]}, 'options.profiles.0.gpus: "True" is no number of GPUs'),
        ({"profiles": [{"name": "a", "image": "x y"}]}, "options.profiles.0.image: String should match"),
        ({"profiles": [{"name": "a"}, {"name": "a"}]}, 'options: two profiles are named "a"'),
        (
            {"profiles": [{"name": "a", "default": True}, {"name": "b", "default": True}]},
            "options: more than one profile is the default: a, b",
        ),
        (
            {"profiles": [{"name": "a", "groups": ["x"]}]},
            "options: every profile is for some groups only: leave out the groups of one",
        ),
        (
            {"profiles": [{"name": "a", "environment": {"1A": "x"}}]},
            'options.profiles.0.environment: "1A" is no name of a variable',
        ),
        (
            {"groups": {"x": {"environment": {"JUPYTERHUB_API_TOKEN": "x"}}}},
            'options.groups.x.environment: "JUPYTERHUB_API_TOKEN" is set by the hub',
        ),
        ({"groups": {"x": {"memory": "1"}}}, 'options.groups.x.memory: "1" is no amount of memory'),
        ({"groups": {"x": {"profile": "a"}}}, "options.groups.x.profile: no such setting"),
        ({"folders": [{"name": "../x", "path": "/srv/x"}]}, 'options.folders.0.name: "../x" is no name of a folder'),
        ({"folders": [{"name": ".x", "path": "/srv/x"}]}, 'options.folders.0.name: ".x" is no name of a folder'),
        ({"folders": [{"name": "x", "path": "/etc/x"}]}, 'options.folders.0.path: "/etc/x" is no place for a folder'),
        ({"folders": [{"name": "x", "path": "/srv/berth/homes"}]}, 'options.folders.0.path: "/srv/berth/homes" is no'),
        ({"folders": [{"name": "x", "path": "/srv/../etc"}]}, 'options.folders.0.path: "/srv/../etc" is no place'),
        ({"folders": [{"name": "x", "path": "/srv"}]}, 'options.folders.0.path: "/srv" is no place'),
        ({"folders": [{"name": "x", "path": "/srv/x", "mode": "rw"}]}, "options.folders.0.mode: Input should be"),
        (
            {"folders": [{"name": "x", "path": "/srv/x"}, {"name": "x", "path": "/srv/y"}]},
            'options: two shared folders are named "x"',
        ),
        ({"named_servers": -1}, "options.named_servers: Input should be greater than or equal to 0"),
        ({"start": "home"}, "options.start: Input should be 'straight' or 'page'"),
        ({"starts_at_once_max": -1}, "options.starts_at_once_max: Input should be greater"),
        ({"logo": "exe"}, "options.logo: Input should be"),
    ],
)
def test_a_mistake_is_told_by_index_and_key(tmp_path: Path, options: dict[str, Any], mistake: str) -> None:
    (line,) = mistakes(tmp_path, **options)
    assert line.startswith(mistake)


@pytest.mark.parametrize(
    ("groups", "profile", "expected"),
    [
        ([], None, (2 * GIB, 2, 512, 1)),
        (["students"], None, (1 * GIB, 4, 512, 1)),
        (["students", "staff"], None, (3 * GIB, 4, 512, 1)),
        (["unknown"], None, (2 * GIB, 2, 512, 1)),
        (["students", "staff"], "small", (GIB // 2, 4, 512, 1)),
        (["staff"], "large", (8 * GIB, 3, 512, -1)),
    ],
)
def test_a_limit_counts_where_it_is_said_first(
    groups: list[str], profile: str | None, expected: tuple[int, float, int, int]
) -> None:
    options = Options.model_validate(SITE)
    chosen = next((one for one in options.profiles if one.name == profile), None)
    given = allot(options, Allotment(**{**vars(OF_ALL), "gpus": options.gpus}), groups, chosen)
    assert (given.memory, given.cpus, given.pids, given.gpus) == expected


def test_all_gpus_are_more_than_any_number() -> None:
    options = Options.model_validate({"groups": {"a": {"gpus": 4}, "b": {"gpus": "all"}, "c": {"gpus": "2"}}})
    assert allot(options, OF_ALL, ["a", "b", "c"], None).gpus == -1
    assert allot(options, OF_ALL, ["a", "c"], None).gpus == 4


def test_environment_of_groups_by_name_then_of_the_profile() -> None:
    options = Options.model_validate(SITE)
    given = allot(options, OF_ALL, ["students", "staff"], options.profiles[1])
    assert given.environment == {"TZ": "CET", "WHO": "student", "KIND": "usual"}


def test_who_may_choose_what() -> None:
    options = Options.model_validate(SITE)
    assert [one.name for one in profiles_for(options, [])] == ["small", "usual"]
    assert [one.name for one in profiles_for(options, ["staff"])] == ["small", "usual", "large"]


class Site:
    """A spawner with a site's whole configuration; only user and database row are made up."""

    def __init__(self, directory: Path, options: dict[str, Any] = SITE) -> None:
        self.config = configured(directory, options=options)

    def spawner(self, *groups: str, stored: dict[str, Any] | None = None) -> Any:
        user = SimpleNamespace(name="alice", groups=[SimpleNamespace(name=name) for name in groups])
        row = SimpleNamespace(name="", server=None, user_options=stored or {})
        one: Any = BerthSpawner(config=self.config, user=user, orm_spawner=row, user_options=stored or {})
        return one


def apply(spawner: Any, wanted: Any) -> Any:
    spawner.apply_user_options(spawner, wanted)
    return spawner


def test_the_spawner_gets_what_was_chosen(tmp_path: Path) -> None:
    one = apply(Site(tmp_path).spawner("staff"), {"profile": "large"})
    assert (one.image, one.mem_limit, one.cpu_limit) == ("site/gpu:1", 8 * GIB, 3)
    assert one.environment == {
        "TZ": "Europe/Vienna",
        "BERTH_NOTEBOOKS": "/home/jovyan/notebooks",
        "WHO": "staff",
    }
    assert one.extra_host_config == {
        "pids_limit": 512,
        "memswap_limit": 8 * GIB,
        "auto_remove": False,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "init": True,
        "read_only": True,
        "tmpfs": Berth.model_validate(SETTINGS["berth"]).scratch,
        "device_requests": [{"count": -1, "capabilities": [["gpu"]]}],
    }
    assert one.folders == {"/mnt/nfs/project": "/home/jovyan/shared/project"}
    assert one.read_only_folders == {"/srv/berth/folders/data": "/home/jovyan/shared/data"}
    assert one.orm_spawner.user_options == {"profile": "large"}


def test_the_engine_is_asked_for_the_gpus(tmp_path: Path) -> None:
    one = apply(Site(tmp_path).spawner(), {})
    asked = HostConfig(version="1.41", device_requests=one.extra_host_config["device_requests"])
    assert asked["DeviceRequests"] == [
        {"Driver": "", "Count": 1, "DeviceIDs": [], "Capabilities": [["gpu"]], "Options": {}}
    ]


def test_nothing_is_left_of_the_choice_before(tmp_path: Path) -> None:
    one = Site(tmp_path, {**SITE, "gpus": 0}).spawner("staff")
    apply(one, {"profile": "large"})
    one.user.groups = []
    apply(one, {"profile": "usual"})
    assert (one.image, one.mem_limit, one.cpu_limit) == ("berth/notebook:1", 2 * GIB, 1.5)
    assert "device_requests" not in one.extra_host_config
    assert "WHO" not in one.environment
    assert one.folders == {}


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"profile": "huge"}, 'there is no profile "huge" for you; yours are: small, usual'),
        ({"profile": "large"}, 'there is no profile "large" for you; yours are: small, usual'),
        ({"profile": 7}, "yours are: small, usual"),
        ({"profile": ["small"]}, "yours are: small, usual"),
        (["small"], "options of a server are an object"),
        (7, "options of a server are an object"),
        ({"profile": "small", "image": "evil"}, 'there is no option "image"'),
    ],
)
def test_what_is_not_offered_is_refused_with_the_list(tmp_path: Path, wanted: Any, reason: str) -> None:
    one = Site(tmp_path).spawner()
    with pytest.raises(HTTPError) as caught:
        apply(one, wanted)
    assert caught.value.status_code == 400
    assert reason in str(caught.value)
    assert one.orm_spawner.user_options == {}, "what was refused is not asked for again"


def test_a_site_without_profiles_says_so(tmp_path: Path) -> None:
    with pytest.raises(HTTPError, match="this hub has no profiles"):
        apply(Site(tmp_path, {}).spawner(), {"profile": "large"})
    assert apply(Site(tmp_path, {}).spawner(), {}).mem_limit == 2 * GIB


def test_a_profile_that_was_chosen_once_and_is_not_offered_any_more_gives_way_to_the_default(tmp_path: Path) -> None:
    one = Site(tmp_path).spawner(stored={"profile": "large"})
    apply(one, {"profile": "large"})
    assert one.environment["KIND"] == "usual"
    assert one.orm_spawner.user_options == {"profile": "usual"}


def test_the_page_shows_what_may_be_chosen_as_text(tmp_path: Path) -> None:
    one = Site(tmp_path).spawner("staff", stored={"profile": "small"})
    page = one.options_form(one)
    assert page.count('type="radio"') == 3
    assert "Small &lt;i&gt;" in page
    assert "For &amp; reading" in page
    assert 'value="small" checked' in " ".join(page.split())
    assert "8 GB memory, 3 processors, all GPUs" in page


def test_there_is_no_page_where_there_is_no_choice(tmp_path: Path) -> None:
    one = Site(tmp_path, {"profiles": [{"name": "only"}]}).spawner()
    assert one.options_form(one) == ""
    assert apply(one, {}).user_options == {"profile": "only"}


def test_a_form_and_a_link_choose_as_the_api_does() -> None:
    assert Choice.from_form({"profile": ["small"], "other": ["x"]}) == {"profile": "small"}
    assert Choice.from_form({}) == {}


def test_limits_in_words() -> None:
    assert in_words(Allotment("x", GIB, 1, gpus=2)) == "1 GB memory, 1 processor, 2 GPUs"
    assert in_words(Allotment("x")) == ""


def test_the_hub_has_the_options(tmp_path: Path) -> None:
    options = {
        "named_servers": 3,
        "start": "page",
        "announcement": 'See https://example.org/?a=1&b=2 <script>alert("x")</script>',
        "logo": "svg",
        "active_servers_max": 20,
        "starts_at_once_max": 5,
    }
    hub = JupyterHub(config=configured(tmp_path, options=options))
    assert (hub.allow_named_servers, hub.named_server_limit_per_user) == (True, 3)
    assert hub.redirect_to_server is False
    # Nobody is turned away for others who start.
    assert (hub.active_server_limit, hub.concurrent_spawn_limit) == (20, 0)
    assert hub.config.BerthSpawner.starts_at_once == 5
    assert hub.logo_file == "/etc/berth/logo.svg"
    shown = hub.template_vars["announcement"]
    assert "&lt;script&gt;" in shown
    assert "<script" not in shown
    assert 'href="https://example.org/?a=1&amp;b=2"' in shown


def test_without_options_the_hub_is_as_jupyterhub_has_it(tmp_path: Path) -> None:
    hub = JupyterHub(config=configured(tmp_path))
    assert (hub.allow_named_servers, hub.redirect_to_server, hub.active_server_limit) == (False, True, 0)
    assert "announcement" not in hub.template_vars


@pytest.mark.parametrize(("idle", "interval"), [(0, None), (3600, None), (1200, None), (600, "150"), (2, "1")])
def test_servers_report_often_enough_not_to_look_idle(tmp_path: Path, idle: int, interval: str | None) -> None:
    c = configured(tmp_path, idle__after_seconds=idle)
    assert c.BerthSpawner.environment.get("JUPYTERHUB_ACTIVITY_INTERVAL") == interval


def test_limits_of_a_fragment_hold_where_no_profile_or_group_says_otherwise(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.config.BerthSpawner.mem_limit = 5 * GIB
    assert apply(site.spawner(), {}).mem_limit == 5 * GIB
    assert apply(site.spawner(), {}).extra_host_config["memswap_limit"] == 5 * GIB
    assert apply(site.spawner("staff"), {}).mem_limit == 3 * GIB


def test_settings_are_loaded_by_the_configuration(tmp_path: Path) -> None:
    """`configured` above goes through the file that Ansible renders, as the hub does."""
    c = Config()
    for name in ("cookie_secret", "operator_token", "traefik_password", "admin_password"):
        (tmp_path / name).write_text("ab" * 32)
    path = write_settings(tmp_path / "hub.json", secrets_directory=str(tmp_path), options=SITE)
    configure(c, load(path))
    assert callable(c.BerthSpawner.options_form)

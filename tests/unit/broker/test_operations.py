"""The broker's own process: what it passes on, what it refuses, and that a refused request reaches no engine."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING

import docker
import pytest
from berth_dock.engine import Engine
from berth_dock.operations import Operations, Request
from docker.errors import APIError, NotFound

from .conftest import Broker, asked, container, make_places, serve_broker, serve_engine, settings_for

if TYPE_CHECKING:
    from pathlib import Path


def test_the_spawners_own_client_works(broker: Broker) -> None:
    """docker-py, as DockerSpawner uses it, from the question for the version to the removal."""
    client = docker.APIClient(base_url=f"unix://{broker.hub}", version="auto")
    assert client.api_version == "1.45"
    with pytest.raises(NotFound):
        client.inspect_container("berth-alice")
    assert client.create_container_from_config(asked(broker.places), name="berth-alice")["Id"] == "made"
    broker.engine.containers = {name: container("berth-alice") for name in ("berth-alice", "id-of-berth-alice")}
    assert client.inspect_container("berth-alice")["Id"] == "id-of-berth-alice"
    client.start("berth-alice")
    client.pause("berth-alice")
    client.unpause("berth-alice")
    client.stop("berth-alice")
    assert [one["Id"] for one in client.containers(all=True, filters={"label": "berth.home=alice"})]
    client.remove_container("berth-alice", v=True, force=True)
    assert broker.engine.changes() == [
        ("POST", "/v1.45/containers/create?name=berth-alice"),
        ("POST", "/v1.45/containers/id-of-berth-alice/start"),
        ("POST", "/v1.45/containers/id-of-berth-alice/pause"),
        ("POST", "/v1.45/containers/id-of-berth-alice/unpause"),
        ("POST", "/v1.45/containers/id-of-berth-alice/stop?t=10"),
        ("DELETE", "/v1.45/containers/id-of-berth-alice?v=true&force=true"),
    ]


def test_the_engine_gets_what_was_written_anew(broker: Broker) -> None:
    assert broker.ask("POST", "/v1.45/containers/create?name=berth-alice", asked(broker.places))[0] == 201
    _, _, content = broker.engine.asked[-1]
    assert content["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert "Binds" not in content["HostConfig"]


def test_a_list_has_the_berths_networks_containers_only(broker: Broker) -> None:
    broker.engine.containers = {name: container(name) for name in ("berth-alice", "database")}
    filters = json.dumps({"label": ["berth.home=alice"], "network": ["bridge"], "status": ["running"]})
    status, found = broker.ask(
        "GET", "/v1.45/containers/json?all=1&filters=" + filters.replace(" ", "").replace('"', "%22")
    )
    assert (status, [one["Id"] for one in found]) == (200, ["berth-alice"])
    asked_for = broker.engine.asked[-1][1]
    assert "%22network%22%3A+%5B%22berth%22%5D" in asked_for
    assert "bridge" not in asked_for


REFUSED = [
    ("POST", "/v1.45/containers/berth-alice/exec"),
    ("POST", "/v1.45/exec/x/start"),
    ("POST", "/v1.45/containers/berth-alice/attach?stream=1&stdin=1"),
    ("GET", "/v1.45/containers/berth-alice/attach/ws"),
    ("POST", "/v1.45/containers/berth-alice/update"),
    ("POST", "/v1.45/containers/berth-alice/rename?name=x"),
    ("POST", "/v1.45/containers/berth-alice/kill"),
    ("POST", "/v1.45/containers/berth-alice/restart"),
    ("POST", "/v1.45/containers/berth-alice/wait"),
    ("PUT", "/v1.45/containers/berth-alice/archive?path=/"),
    ("GET", "/v1.45/containers/berth-alice/archive?path=/etc/shadow"),
    ("HEAD", "/v1.45/containers/berth-alice/archive?path=/"),
    ("GET", "/v1.45/containers/berth-alice/export"),
    ("GET", "/v1.45/containers/berth-alice/changes"),
    ("GET", "/v1.45/containers/berth-alice/top"),
    ("GET", "/v1.45/containers/berth-alice/stats"),
    ("POST", "/v1.45/containers/prune"),
    ("POST", "/v1.45/commit?container=berth-alice"),
    ("POST", "/v1.45/build"),
    ("POST", "/v1.45/session"),
    ("POST", "/v1.45/grpc"),
    ("POST", "/v1.45/images/create?fromImage=debian"),
    ("POST", "/v1.45/images/load"),
    ("GET", "/v1.45/images/json"),
    ("GET", "/v1.45/images/berth/notebook:1/json"),
    ("DELETE", "/v1.45/images/berth/notebook:1"),
    ("POST", "/v1.45/volumes/create"),
    ("GET", "/v1.45/volumes"),
    ("POST", "/v1.45/networks/create"),
    ("POST", "/v1.45/networks/berth/connect"),
    ("POST", "/v1.45/networks/host/connect"),
    ("GET", "/v1.45/networks"),
    ("POST", "/v1.45/plugins/pull?remote=x"),
    ("POST", "/v1.45/swarm/init"),
    ("POST", "/v1.45/services/create"),
    ("GET", "/v1.45/secrets"),
    ("POST", "/v1.45/auth"),
    ("GET", "/v1.45/info"),
    ("GET", "/v1.45/events"),
    ("GET", "/v1.45/system/df"),
    ("GET", "/v1.45/distribution/x/json"),
    ("GET", "/debug/pprof/"),
    ("GET", "/metrics"),
    ("OPTIONS", "/v1.45/containers/json"),
    ("PATCH", "/v1.45/containers/berth-alice"),
    ("PUT", "/v1.45/containers/create?name=berth-alice"),
    ("DELETE", "/v1.45/containers/berth-alice/json"),
    ("GET", "/v1.24/containers/json"),
    ("GET", "/v1.46/containers/json"),
    ("GET", "/v01.45/containers/json"),
    ("GET", "/v1.45/../containers/json"),
    ("GET", "/v1.45//containers/json"),
    ("GET", "//containers/json"),
    ("GET", "/v1.45/containers/json/"),
    ("GET", "/v1.45/containers/%62erth-alice/json"),
    ("GET", "/v1.45/containers/berth-alice%2fexport/json"),
    ("GET", "/v1.45/containers/../images/json"),
    ("GET", "/v1.45/containers/../json"),
    ("GET", "/v1.45/containers/./json"),
    ("POST", "/v1.45/containers/berth-alice/../../build/start"),
    ("POST", "/v1.45/CONTAINERS/create?name=berth-alice"),
    ("POST", "/v1.45/containers/create"),
    ("POST", "/v1.45/containers/create?name="),
    ("POST", "/v1.45/containers/create?name=berth-alice&name=x"),
    ("POST", "/v1.45/containers/create?name=berth-alice&platform=x"),
    ("POST", "/v1.45/containers/create?Name=berth-alice"),
    ("POST", "/v1.45/containers/create?name=berth-alice;name=x"),
    ("POST", "/v1.45/containers/create?name=/berth-alice"),
    ("POST", "/v1.45/containers/create?name=berth-alice%00"),
    ("POST", "/v1.45/containers/berth-alice/start?detachKeys=x"),
    ("POST", "/v1.45/containers/berth-alice/start?checkpoint=x&checkpoint-dir=/tmp"),
    ("POST", "/v1.45/containers/berth-alice/stop?t=-1"),
    ("POST", "/v1.45/containers/berth-alice/pause?t=1"),
    ("POST", "/v1.45/containers/berth-alice/freeze"),
    ("POST", "/v1.45/containers/berth-alice/stop?t=99999"),
    ("POST", "/v1.45/containers/berth-alice/stop?signal=KILL"),
    ("DELETE", "/v1.45/containers/berth-alice?link=1"),
    ("DELETE", "/v1.45/containers/berth-alice?force=maybe"),
    ("GET", "/v1.45/containers/berth-alice/json?size=1"),
    ("GET", "/v1.45/containers/berth-alice/logs?follow=1"),
    ("GET", "/v1.45/containers/berth-alice/logs?stdout=1&tail=1000000"),
    ("GET", "/v1.45/containers/berth-alice/logs?stdout=1&since=1"),
    ("GET", "/v1.45/containers/json?filters=x"),
    ("GET", "/v1.45/containers/json?filters=[]"),
    ("GET", "/v1.45/containers/json?filters={%22name%22:[%22x%22]}"),
    ("GET", "/v1.45/containers/json?filters={%22label%22:[%22com.docker%22]}"),
    ("GET", "/v1.45/containers/json?before=x"),
    ("GET", "/v1.45/containers/json?" + "&".join(f"a{number}=1" for number in range(50))),
]


@pytest.mark.parametrize(("method", "path"), REFUSED)
def test_whatever_else_an_engine_does_is_refused(broker: Broker, method: str, path: str) -> None:
    broker.engine.containers = {"berth-alice": container("berth-alice")}
    refusals = broker.refusals()
    status, said = broker.ask(method, path)
    assert status in (400, 403, 404), said
    assert not broker.engine.changes()
    assert broker.refusals() == refusals + (status != 404)


@pytest.mark.parametrize("name", ["database", "berth-elsewhere", "nobody"])
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", "/json"),
        ("POST", "/start"),
        ("POST", "/stop"),
        ("POST", "/pause"),
        ("POST", "/unpause"),
        ("DELETE", ""),
        ("GET", "/logs?stdout=1"),
    ],
)
def test_other_containers_are_as_if_they_were_not_there(broker: Broker, method: str, rest: str, name: str) -> None:
    broker.engine.containers = {
        "database": container("database"),
        "berth-elsewhere": container("berth-elsewhere", network="bridge"),
    }
    status, said = broker.ask(method, f"/v1.45/containers/{name}{rest}")
    assert (status, said) == (404, {"message": f"berth-dock: No such container: {name}"})
    assert not broker.engine.changes()


def test_what_was_made_before_the_broker_can_be_seen_and_ended_but_not_started(broker: Broker) -> None:
    broker.engine.containers = {"berth-old": container("berth-old", broker=False)}
    assert broker.ask("GET", "/v1.45/containers/berth-old/json")[0] == 200
    assert broker.ask("POST", "/v1.45/containers/berth-old/start")[0] == 403
    assert broker.ask("POST", "/v1.45/containers/berth-old/stop")[0] == 204
    assert broker.ask("DELETE", "/v1.45/containers/berth-old?v=1")[0] == 204


def test_host_configuration_at_the_start_is_refused(broker: Broker) -> None:
    broker.engine.containers = {"berth-alice": container("berth-alice")}
    assert broker.ask("POST", "/v1.45/containers/berth-alice/start", {"Privileged": True})[0] == 403
    assert not broker.engine.changes()


def test_who_only_looks_may_list_and_nothing_else(broker: Broker) -> None:
    broker.engine.containers = {"berth-alice": container("berth-alice")}
    assert broker.ask("GET", "/containers/json", door=broker.look)[0] == 200
    for method, path, content in (
        ("GET", "/containers/berth-alice/json", None),
        ("POST", "/v1.45/containers/create?name=berth-alice", asked(broker.places)),
        ("DELETE", "/containers/berth-alice", None),
        ("POST", "/containers/berth-alice/stop", None),
        ("POST", "/containers/berth-alice/pause", None),
        ("GET", "/version", None),
    ):
        assert broker.ask(method, path, content, door=broker.look)[0] == 403
    assert not broker.engine.changes()


CREATE = "POST /v1.45/containers/create?name=berth-alice HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 5\r\nContent-Length: 500000",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding:\x0bchunked",
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: 0x5",
        "Content-Length: 99999999999",
        "Content-Length : 5",
        "X: " + "a" * 100_000,
        "Connection: Upgrade\r\nUpgrade: tcp",
        "Expect: 100-continue\r\nContent-Length: 5",
    ],
)
def test_requests_that_two_readers_may_read_differently_change_nothing(broker: Broker, head: str) -> None:
    hidden = "POST /v1.45/build HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    said = broker.say(f"{CREATE}{head}\r\n\r\n{hidden}".encode())
    assert not re.search(rb"HTTP/1.1 [12]", said.replace(b"HTTP/1.1 100", b""))
    assert not broker.engine.changes()
    assert broker.ask("GET", "/version")[0] == 200


def test_a_body_in_pieces_is_judged_as_a_whole(broker: Broker) -> None:
    good = json.dumps(asked(broker.places)).encode()
    bad = good.replace(b'"HostConfig": {', b'"HostConfig": {"Privileged": true, ')
    for body, changes in ((bad, 0), (good, 1)):
        pieces = b"".join(
            f"{len(body[at : at + 100]):x}\r\n".encode() + body[at : at + 100] + b"\r\n"
            for at in range(0, len(body), 100)
        )
        broker.say(
            f"{CREATE}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode() + pieces + b"0\r\n\r\n",
            and_leave=False,
        )
        assert len(broker.engine.changes()) == changes


def test_a_body_that_is_too_large_is_refused(broker: Broker) -> None:
    broker.say(f"{CREATE}Content-Length: 2000000\r\n\r\n".encode() + b"x" * 1_500_000)
    assert not broker.engine.changes()
    assert broker.ask("GET", "/version")[0] == 200


def test_the_journal_takes_no_lines_of_a_client(broker: Broker) -> None:
    broker.say(b"GET /v1.45/containers/json?x=%0aforged HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    broker.ask("GET", "/v1.45/containers/json?%0aforged=1")
    assert not any(line.startswith("forged") for line in broker.log.read_text(encoding="utf-8").splitlines())


def test_settings_that_change_hold_at_once_and_broken_ones_do_not(broker: Broker) -> None:
    def create() -> int:
        return broker.ask("POST", "/v1.45/containers/create?name=berth-alice", asked(broker.places))[0]

    settings = settings_for(broker.places)
    assert create() == 201
    broker.write_settings({**settings, "berth": {**settings["berth"], "pids": 100}})
    assert create() == 403
    broker.settings.write_text("{", encoding="utf-8")
    assert create() == 403
    broker.write_settings(settings)
    assert create() == 201


def test_an_engine_that_is_gone_is_no_answer_about_a_container(tmp_path: Path) -> None:
    """The hub must not take a berth for ended because nobody could be asked."""
    with (
        serve_engine(tmp_path / "engine.sock") as engine,
        serve_broker(tmp_path, make_places(tmp_path / "host"), engine) as broker,
    ):
        (tmp_path / "engine.sock").unlink()
        client = docker.APIClient(base_url=f"unix://{broker.hub}", version="1.45")
        with pytest.raises(APIError) as caught:
            client.inspect_container("berth-alice")
    assert caught.value.status_code == HTTPStatus.BAD_GATEWAY


def test_an_older_engine_is_asked_in_its_own_version(tmp_path: Path) -> None:
    with serve_engine(tmp_path / "engine.sock") as engine:
        engine.version = "1.41"
        operations = Operations(Engine(tmp_path / "engine.sock"), lambda: pytest.fail("no policy is needed"))
        answer = operations.carry_out(Request("GET", "/version", {}))
    assert answer.json() == {"Version": "berth-dock", "ApiVersion": "1.41", "MinAPIVersion": "1.41"}


def test_many_at_once_are_all_answered(broker: Broker) -> None:
    broker.engine.containers = {"berth-alice": container("berth-alice")}
    with ThreadPoolExecutor(50) as threads:
        found = list(threads.map(lambda _: broker.ask("GET", "/v1.45/containers/berth-alice/json")[0], range(300)))
    assert found == [200] * 300

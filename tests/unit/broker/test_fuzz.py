"""Bodies that nobody thought of: each is refused, or what the engine gets is confined all the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from berth_dock.creation import rebuild
from berth_dock.refusal import Refused
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from .conftest import asked
from .test_creation import HOSTILE, HOSTILE_HOST

if TYPE_CHECKING:
    from pathlib import Path

    from berth_dock.policy import Policy

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
)
PLACES = st.sampled_from([("top", key) for key in HOSTILE] + [("host", key) for key in HOSTILE_HOST])
CHANGES = st.lists(st.tuples(PLACES | st.tuples(st.just("host"), st.text(max_size=20)), VALUES), max_size=3)
SMALL = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_confined(made: dict[str, Any], policy: Policy, places: Path) -> None:
    host = made["HostConfig"]
    assert (host["CapDrop"], host["SecurityOpt"], host["ReadonlyRootfs"]) == (["ALL"], ["no-new-privileges"], True)
    assert host["NetworkMode"] == policy.network
    assert 0 < host["Memory"] == host["MemorySwap"] <= policy.memory
    assert 0 < host["PidsLimit"] <= policy.pids
    assert made["Image"] in policy.images
    own = {str(places / name) for name in ("homes/alice", "shared", "folders/data", "folders/team")}
    assert {mount["Source"] for mount in host["Mounts"]} <= own
    known = {"Image", "Cmd", "Env", "ExposedPorts", "Labels", "HostConfig", "NetworkingConfig"}
    assert set(made) == known
    assert not set(host) & {"Privileged", "CapAdd", "Devices", "Binds", "PidMode", "UsernsMode", "Runtime"}


@SMALL
@given(CHANGES)
@example([])
def test_a_request_with_some_of_it_changed(policy: Policy, places: Path, changes: list[Any]) -> None:
    content = asked(places)
    host = content["HostConfig"]
    for (place, key), value in changes:
        (host if place == "host" else content)[key] = value
    try:
        made = rebuild("berth-alice", json.dumps(content).encode(), policy)
    except Refused:
        return
    assert_confined(made, policy, places)


@SMALL
@given(st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode()))
def test_anything(policy: Policy, body: bytes) -> None:
    with pytest.raises(Refused):
        rebuild("berth-alice", body, policy)


@SMALL
@given(st.text(max_size=60))
@example("berth-alice\n")
def test_names(policy: Policy, places: Path, name: str) -> None:
    """Only names of alice's servers go with her home."""
    try:
        rebuild(name, json.dumps(asked(places)).encode(), policy)
    except Refused:
        return
    assert name == "berth-alice" or name.startswith("berth-alice.")

"""Links to shared notebooks: what is published, and addresses that lead back to the same names."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import berth_notebooks_list
import pytest

if TYPE_CHECKING:
    from tests.unit.publish.conftest import Host

NAMES = ["a.ipynb", "chapter two/größe? 100% #1.ipynb", "x&lab=y.ipynb", "日本/+.ipynb"]


def test_notebooks_are_listed_and_nothing_else(host: Host) -> None:
    host.publish({**dict.fromkeys(NAMES, "{}"), "data.csv": "1", "notes.ipynb.txt": "1"})
    assert berth_notebooks_list.published(host.repository) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hub", ["https://hub.example.org/", "https://example.org/jupyter/"])
def test_a_link_holds_the_name_whatever_is_in_it(name: str, hub: str) -> None:
    links = berth_notebooks_list.links(name, hub, apps=True)
    assert list(links) == ["lab", "notebook", "app"]
    for kind, link in links.items():
        assert link.isascii()
        assert link.startswith(f"{hub}hub/user-redirect/berth/open?")
        assert parse_qs(urlsplit(link).query) == {kind: [name]}


def test_there_is_no_link_to_an_app_where_the_site_wants_none() -> None:
    assert list(berth_notebooks_list.links("a.ipynb", "https://hub.example.org/", apps=False)) == ["lab", "notebook"]

"""``berth notebooks``: what it hands to the playbooks, and what it makes of what they report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.unit.cli.conftest import Checkout

PUBLISH = """
- hosts: hub
  gather_facts: false
  tasks:
    - name: Take down what was given
      ansible.builtin.copy:
        content: "{{ {'source': shared_notebooks_source | default(none), 'ref': given_ref} | to_json }}"
        dest: "{{ playbook_dir }}/given.json"
        mode: "0644"
      vars:
        given_ref: "{{ shared_notebooks_ref | default(none) }}"
"""

LINK = "https://hub.example.org/hub/user-redirect/berth/open?lab=" + "a" * 200 + ".ipynb"

REPORTED = {"notebooks": [{"name": "chapter [one]/a b.ipynb", "links": {"lab": LINK, "notebook": "n", "app": "p"}}]}

LIST = f"""
- hosts: hub
  gather_facts: false
  tasks:
    - name: Report
      ansible.builtin.debug:
        msg: {json.dumps(REPORTED)}
"""


@pytest.fixture
def hub(checkout: Checkout) -> Checkout:
    checkout.write("playbooks/notebooks.yml", PUBLISH)
    checkout.write("playbooks/notebooks_list.yml", LIST)
    return checkout


def given(hub: Checkout) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((hub.root / "playbooks" / "given.json").read_text(encoding="utf-8"))
    return found


def test_without_a_source_the_inventory_decides(hub: Checkout) -> None:
    result = hub.run("notebooks", "publish")
    assert result.returncode == 0, result.stderr
    assert given(hub) == {"source": None, "ref": None}
    assert "inventory" not in result.stdout


def test_a_folder_is_found_from_where_the_person_is(hub: Checkout) -> None:
    result = hub.run("notebooks", "publish", "home")
    assert result.returncode == 0, result.stderr
    assert given(hub) == {"source": str(hub.base / "home"), "ref": "HEAD"}
    assert "set shared_notebooks_source there" in result.stdout


@pytest.mark.parametrize("url", ["https://git.example.org/x.git", "git@git.example.org:x.git", "file:///srv/x"])
def test_a_url_stays_as_it_is(hub: Checkout, url: str) -> None:
    result = hub.run("notebooks", "publish", url, "--branch", "spring")
    assert result.returncode == 0, result.stderr
    assert given(hub) == {"source": url, "ref": "spring"}
    assert "set shared_notebooks_source and shared_notebooks_ref there" in result.stdout


def test_links_are_shown_whole(hub: Checkout) -> None:
    for command in (("notebooks", "publish"), ("notebooks", "list")):
        result = hub.run(*command)
        assert result.returncode == 0, result.stderr
        assert "chapter [one]/a b.ipynb" in result.stdout
        assert LINK in result.stdout.split()


def test_the_list_can_be_read_by_programs(hub: Checkout) -> None:
    result = hub.run("notebooks", "list", "--json")
    assert json.loads(result.stdout) == {"one": REPORTED["notebooks"]}

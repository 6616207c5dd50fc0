"""What the server has in place of what is loaded later: events, validators, and when garbage is collected."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.publish.test_quick_server import python

if TYPE_CHECKING:
    from pathlib import Path

EVENTS = """
quick_server.load()
import asyncio, pathlib
from jupyter_events import EventLogger, EventSchema
from jupyter_events.schema_registry import SchemaRegistryException
from jupyter_server import DEFAULT_EVENTS_SCHEMA_PATH, JUPYTER_SERVER_EVENTS_URI

KIND = "contents_service/v1"
ID = f"{JUPYTER_SERVER_EVENTS_URI}/{KIND}"
FILE = DEFAULT_EVENTS_SCHEMA_PATH / f"{KIND}.yaml"
OF_OTHERS = {"$id": "http://x.org/y", "version": "1", "properties": {"a": {"type": "string"}}}

def loaded():
    return "yaml" in sys.modules or "jsonschema.validators" in sys.modules

def twice(events, schema):
    try:
        events.register_event_schema(schema)
    except SchemaRegistryException:
        return True
    return False

events = EventLogger()
events.register_event_schema(FILE)
"""


def test_events_that_nobody_listens_to_load_nothing() -> None:
    code = (
        "assert twice(events, FILE)\n"
        "assert events.emit(schema_id=ID, data={'action': 'get', 'path': 'x'}) is None\nprint(loaded())"
    )
    assert python(EVENTS + code) == "False"


def test_who_listens_gets_events_that_are_validated() -> None:
    code = """
async def listen():
    heard = []
    async def listener(logger, schema_id, data):
        heard.append((schema_id, data["action"]))
    events.add_listener(listener=listener)
    events.emit(schema_id=ID, data={"action": "get", "path": "x"})
    await events.gather_listeners()
    assert heard == [(ID, "get")], heard
    import jsonschema
    for wrong in ({"action": "get"}, {"action": "bogus", "path": "x"}):
        try:
            events.emit(schema_id=ID, data=wrong)
        except jsonschema.ValidationError:
            continue
        raise AssertionError(wrong)
asyncio.run(listen())
print(ID in events.schemas, "x" in events.schemas, events.schemas.get(ID).id == ID, loaded())
"""
    assert python(EVENTS + code) == "True False True True"


def test_kinds_of_events_of_others_are_looked_at_at_once() -> None:
    code = """
try:
    events.register_event_schema({"version": "1"})
except Exception as error:
    print(type(error).__name__)
events.register_event_schema(OF_OTHERS)
print(twice(events, OF_OTHERS), twice(events, FILE), events.schemas.schema_ids == [ID, OF_OTHERS["$id"]])
from jupyter_events.schema_registry import SchemaRegistryException
print(twice(events, OF_OTHERS), isinstance(events.schemas.get(ID), EventSchema))
"""
    assert python(EVENTS + code).split("\n") == ["ValidationError", "True True True", "True True"]


@pytest.mark.parametrize(
    "code",
    [
        "from jsonschema import Draft7Validator as V; assert not list(V({'type': 'string'}).iter_errors('x'))",
        "from jsonschema import Draft7Validator as V; V.check_schema({'type': 'string'})",
        "import jsonschema; assert list(jsonschema.validators.Draft7Validator({'type': 'string'}).iter_errors(1))",
        "from jsonschema import validators; assert validators.validator_for({})",
        "from jsonschema import ValidationError as a; from nbformat import ValidationError as b; assert a is b",
        "import nbformat.v4 as n; import nbformat; nbformat.validate(n.new_notebook())",
    ],
)
def test_schemas_are_validated(code: str) -> None:
    assert python(f"quick_server.load()\n{code}\nprint('well')") == "well"


LIST = """
from nbconvert.exporters import base
def listed(of):
    return {name: of.get_exporter(name).output_mimetype for name in of.get_export_names()}
"""


def test_what_notebooks_are_exported_to_is_listed_as_nbconvert_lists_it() -> None:
    code = """
found = listed(base)
print("nbconvert.exporters.base" in sys.modules, len(found) > 10)
import nbconvert.exporters.base
print(found == listed(nbconvert.exporters.base), list(found) == nbconvert.exporters.base.get_export_names())
"""
    assert python(f"quick_server.load()\n{LIST}{code}").split("\n") == ["False True", "True True"]


def test_exporters_of_others_are_listed_too(tmp_path: Path) -> None:
    found = tmp_path / "other-1.0.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n", encoding="utf-8")
    exporter = "[nbconvert.exporters]\nother = nbconvert.exporters.html:HTMLExporter\n"
    (found / "entry_points.txt").write_text(exporter, encoding="utf-8")
    code = f"sys.path.append({str(tmp_path)!r})\nquick_server.load()\n{LIST}print(listed(base).get('other'))"
    assert python(code) == "text/html"


@pytest.mark.parametrize(
    "code",
    [
        "from nbconvert import HTMLExporter as E; assert E().from_notebook_node",
        "import nbconvert.filters, nbconvert.exporters; assert nbconvert.exporters.HTMLExporter",
        "from nbconvert.exporters import HTMLExporter, html; assert HTMLExporter is html.HTMLExporter",
        "from nbconvert.exporters import base; E = base.get_exporter('html'); assert isinstance(E(), E), E.__name__",
        "from nbconvert.exporters import base; assert issubclass(base.get_exporter('slides'), base.Exporter)",
        "from nbconvert.exporters import base; assert base.get_exporter('nbconvert.exporters.HTMLExporter')",
        "from jupyter_server.nbconvert.handlers import get_exporter; assert get_exporter('html').from_filename",
    ],
)
def test_notebooks_are_exported(code: str) -> None:
    assert python(f"quick_server.load()\n{code}\nprint('well')") == "well"


def test_garbage_is_collected_from_when_the_server_serves() -> None:
    code = """
import gc, types
quick_server.load()
from jupyter_server.serverapp import ServerApp
def serve():
    print(gc.isenabled(), gc.get_freeze_count() > 10_000)
loop = types.SimpleNamespace(start=serve, add_callback=print)
print(gc.isenabled())
ServerApp.start_ioloop(types.SimpleNamespace(_post_start=None, io_loop=loop))
"""
    assert python(code).split("\n") == ["False", "None", "True True"]

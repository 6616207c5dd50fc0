"""The hub's own pages as a browser without scripts uses them: forms with their XSRF token, and what a page says."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

    from tests.unit.hub.running_hub import Hub


def send(hub: Hub, session: requests.Session, path: str, **form: str) -> requests.Response:
    """Open a page and send its form."""
    address = f"{hub.url}/hub/{path}"
    page = session.get(address, timeout=30)
    assert page.status_code == 200, page.text
    (token,) = set(re.findall(r'name="_xsrf" value="([^"]+)"', page.text))
    return session.post(address, data={**form, "_xsrf": token}, timeout=30)


def said(answer: requests.Response, element: str) -> str | None:
    """The text of the element with that id; None if it is not there."""
    found: Any = re.search(rf'id="{element}"[^>]*>([^<]*)<', answer.text)
    return None if found is None else " ".join(unescape(found[1]).split())

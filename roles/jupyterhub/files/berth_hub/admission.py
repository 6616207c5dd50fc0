"""Who may be admitted, remembered over restarts: sessions end when a change may have shut somebody out."""

import hashlib
import json
from pathlib import Path
from typing import Any

from jupyterhub import orm
from jupyterhub.roles import assign_default_roles

from berth_hub.settings.authentication import Authentication

_KINDS = ("allowed_users", "allowed_groups", "admin_groups", "domains")


def described(authentication: Authentication, seal: str = "") -> dict[str, Any]:
    """What decides on who may log in, without any secret; `seal` stands for one that all users share."""
    way = authentication.way.model_dump()
    # Of Google's way, the domains are whom it admits, and the rest is the way.
    lists = {**authentication.model_dump(include=set(_KINDS)), "domains": way.pop("domains", [])}
    return {
        "method": way["method"],
        "way": hashlib.sha256((json.dumps(way, sort_keys=True) + seal).encode()).hexdigest(),
        "all": authentication.everybody,
        **{kind: sorted(lists[kind]) for kind in _KINDS},
    }


def shuts_out(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether somebody who was admitted may no longer be."""
    if (before.get("method"), before.get("way")) != (now["method"], now["way"]):
        return True
    # No domain is no restriction.
    if now["domains"] and not (before.get("domains") and set(before["domains"]) <= set(now["domains"])):
        return True
    if now["all"]:
        return False
    lost = any(set(before.get(kind, ())) - set(now[kind]) for kind in _KINDS)
    return bool(before.get("all")) or lost


def apply(db: Any, file: Path, authentication: Authentication, admins: set[str], seal: str = "") -> str:
    """End what a changed admission must not let go on; to be called before the hub serves.

    Every browser's session ends, and every token that a user asked for. When the method is another, rights of admins
    that do not stand in the settings end as well: the names are the same, the people need not be.

    Args:
        db: JupyterHub's database session.
        file: where the admission is remembered.
        authentication: the settings.
        admins: names of the admins by the settings.
        seal: stands for a secret that all users share; another one shuts out whoever knew the old.

    Returns:
        "new", "same", "wider" or "ended".
    """
    now = described(authentication, seal)
    before = json.loads(file.read_text()) if file.exists() else None
    if before == now:
        return "same"
    result = "new" if before is None else "wider"
    # Hubs from before this file had accounts of their own.
    if shuts_out(before if before is not None else {**now, "method": "native", "way": _NATIVE, "all": True}, now):
        _end_sessions(db)
        result = "ended"
        if before is None or before["method"] != now["method"]:
            _revoke(db, admins)
        db.commit()
    # Last, so that an interrupted start does it again; whole or not at all.
    new = file.with_suffix(".new")
    new.write_text(json.dumps(now, indent=2) + "\n")
    new.replace(file)
    return result


_NATIVE = hashlib.sha256(json.dumps({"method": "native"}).encode()).hexdigest()


def _end_sessions(db: Any) -> None:
    for user in db.query(orm.User):
        user.cookie_id = orm.new_token()
    for token in db.query(orm.APIToken).filter(orm.APIToken.user_id.isnot(None)):
        # Those of servers stay, or every kernel that runs would be lost. They may do nothing but serve.
        if not _is_a_servers(token):
            db.delete(token)
    db.query(orm.OAuthCode).delete()


def _is_a_servers(token: Any) -> bool:
    # As JupyterHub makes them. A user may have made one that looks the same: it opens that user's running server, which
    # goes on as well, and nothing else.
    serving = ("access:servers!server=", "users:activity!user=")
    made_by_the_hub = token.session_id is None and str(token.note).startswith("Server at ")
    return made_by_the_hub and all(scope.startswith(serving) for scope in token.scopes or ["none"])


def _revoke(db: Any, admins: set[str]) -> None:
    for user in db.query(orm.User).filter(orm.User.admin):
        if user.name not in admins:
            user.admin = False
            assign_default_roles(db, entity=user)

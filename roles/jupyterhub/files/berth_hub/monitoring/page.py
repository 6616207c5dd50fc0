"""The status page."""

import datetime as dt
from pathlib import Path
from typing import Any

from berth_names import container_name
from jupyterhub import __version__, orm
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.scopes import needs_scope
from markupsafe import Markup
from tornado import web
from traitlets import Any as AnyTrait
from traitlets import Unicode
from traitlets.config import Configurable

from berth_hub.monitoring import figures
from berth_hub.monitoring.failures import FailedStarts
from berth_hub.monitoring.plot import COLOURS
from berth_hub.monitoring.prometheus import Prometheus
from berth_hub.settings.monitoring import Monitoring
from berth_hub.sleep import sleepers

FAILURES_SHOWN = 10

OFF = "Monitoring is switched off on this host (monitoring_enabled: false)"


class StatusPage(Configurable):
    """What the page needs, from the authenticator, since JupyterHub lets nothing else add pages to the hub."""

    monitoring = AnyTrait(config=True, help="What the site decided; `monitoring` of the hub's settings.")
    failed_starts_file = Unicode(config=True, help="Where failed starts are remembered.")

    def handlers(self) -> list[tuple[str, type, dict[str, Any]]]:
        """The page, for an authenticator's `get_handlers`."""
        failed_starts = FailedStarts(Path(self.failed_starts_file))
        return [(r"/status", StatusHandler, {"monitoring": self.monitoring, "failed_starts": failed_starts})]


def berth_name(user: str, server: str) -> str:
    """A server's container without `berth-`, as the figures name it."""
    return str(container_name(user, server)).removeprefix("berth-")


class StatusHandler(BaseHandler):
    """Who is there, what they use, what went wrong: for admins."""

    def initialize(self, monitoring: Monitoring, failed_starts: FailedStarts) -> None:
        """Args: monitoring: what the site decided; failed_starts: what did not start."""
        self._monitoring = monitoring
        self._failed_starts = failed_starts

    @web.authenticated
    @needs_scope("admin-ui")
    async def get(self) -> None:
        """The page; it tells what the hub itself knows, whatever else is down."""
        if self._monitoring.enabled:
            found = await figures.collect(Prometheus(self._monitoring.prometheus_url))
        else:
            found = figures.Figures(problem=OFF)
        html = await self.render_template(
            "status.html",
            off=not self._monitoring.enabled,
            figures=found,
            servers=self._servers(found),
            sleepers=await self._sleepers(found),
            users_count=self.db.query(orm.User).count(),
            failures=self._failed_starts.last()[:FAILURES_SHOWN],
            colours=COLOURS,
            size=figures.size,
            number=figures.number,
            seconds=figures.seconds,
            safe=Markup,
            hub_version=__version__,
            taken=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        )
        self.finish(html)

    def _servers(self, found: figures.Figures) -> list[dict[str, Any]]:
        """Servers that run or are about to, with what they use."""
        rows = (
            self.db.query(orm.Spawner)
            .join(orm.User, orm.Spawner.user_id == orm.User.id)
            .filter(orm.Spawner.server_id.is_not(None))
            .order_by(orm.User.name, orm.Spawner.name)
        )
        return [
            {
                "user": row.user.name,
                "server": row.name,
                "started": _moment(row.started),
                "active": _moment(row.last_activity),
                "use": found.use.get(berth_name(row.user.name, row.name), figures.Use()),
            }
            for row in rows
        ]

    async def _sleepers(self, found: figures.Figures) -> list[dict[str, Any]]:
        """Servers that sleep, with what they hold."""
        return [
            {
                "user": one.user.name,
                "server": one.name,
                "since": one.asleep_since,
                "use": found.use.get(berth_name(one.user.name, one.name), figures.Use()),
            }
            for one in await sleepers(self.db, self.find_user)
        ]


def _moment(moment: dt.datetime | None) -> str:
    """A time of the database's, which are in UTC."""
    return "" if moment is None else moment.strftime("%Y-%m-%d %H:%M")

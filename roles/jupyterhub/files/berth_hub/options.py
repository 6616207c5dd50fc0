"""Options that a site chooses: which profiles users see, what their berths get, and what the hub's pages show."""

import logging
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from jinja2.utils import urlize
from tornado import web

from berth_hub.allotment import Allotment, allot, default_profile, folders_for, mounts, profiles_for
from berth_hub.settings import Settings
from berth_hub.settings.options import Profile

LOGO = "/etc/berth/logo"
"""Where the role puts the site's logo; the hub tells its kind from the name's end."""

_log = logging.getLogger("berth.options")
_templates = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)


def in_words(given: Allotment) -> str:
    """What a berth gets, for people: `2 GB memory, 1 processor`."""
    said = []
    if given.memory:
        said.append(f"{given.memory / 1024**3:.3g} GB memory")
    if given.cpus:
        said.append(f"{given.cpus:g} processor{'' if given.cpus == 1 else 's'}")
    if given.gpus:
        said.append("all GPUs" if given.gpus < 0 else f"{given.gpus} GPU{'' if given.gpus == 1 else 's'}")
    return ", ".join(said)


_templates.filters["limits"] = in_words


class Choice:
    """The spawner's hooks: what the page offers, what may be chosen, and what the berth gets for it."""

    def __init__(self, settings: Settings) -> None:
        """Args: settings: what the site decided."""
        self._settings = settings

    def form(self, spawner: Any) -> str:
        """The page's part on which a profile is chosen; empty, so that there is no page, where there is no choice."""
        offered = profiles_for(self._settings.options, _groups(spawner))
        # What sleeps is there already: whoever wants another profile stops it first.
        if len(offered) < 2 or spawner.will_resume:
            return ""
        last = spawner.user_options.get("profile")
        chosen = next((profile for profile in offered if profile.name == last), default_profile(offered))
        listed = [
            (profile, allot(self._settings.options, spawner.of_all, _groups(spawner), profile)) for profile in offered
        ]
        return _templates.get_template("profiles.html").render(listed=listed, chosen=chosen)

    @staticmethod
    def from_form(form: dict[str, list[str]]) -> dict[str, str]:
        """What the page sent, or a link with `?opt-profile=`, as the API takes it."""
        return {"profile": form["profile"][0]} if form.get("profile") else {}

    def apply(self, spawner: Any, wanted: Any) -> None:
        """Give a berth that starts what its user's groups and the chosen profile say.

        Everything is set at every start: the same spawner starts again after a stop.

        Raises:
            tornado.web.HTTPError: 400 if there is no such option or profile, or it is not for this user; with the list
                of those that are.
        """
        options, groups = self._settings.options, _groups(spawner)
        try:
            profile = self._chosen(spawner, groups, wanted)
        except ValueError as error:
            # Or it would be refused again when the user starts without asking for anything.
            _remember(spawner, {})
            raise web.HTTPError(400, str(error)) from None
        _remember(spawner, {"profile": profile.name} if profile else {})
        spawner.take(allot(options, spawner.of_all, groups, profile))
        spawner.folders, spawner.read_only_folders = mounts(self._settings.berth.home, folders_for(options, groups))

    def _chosen(self, spawner: Any, groups: set[str], wanted: Any) -> Profile | None:
        if not isinstance(wanted, dict):  # what came by the API is whatever JSON it was
            raise ValueError(  # noqa: TRY004 (a mistake of the request, as all of them here)
                'options of a server are an object, such as {"profile": "large"}'
            )
        if unknown := sorted(set(wanted) - {"profile"}):
            raise ValueError(f'there is no option "{unknown[0]}" for a server: only "profile"')
        offered = profiles_for(self._settings.options, groups)
        # What sleeps is woken as it was, where nothing else is asked for.
        name = wanted.get("profile", (spawner.last_profile or None) if spawner.will_resume else None)
        if name is None:
            return default_profile(offered)
        for profile in offered:
            if profile.name == name:
                return profile
        if name == spawner.last_profile:
            # Not asked for now: it was chosen once, and has gone since, or its user has left the group.
            _log.warning("%s may not use profile %s any more and gets the default one", spawner.user.name, name)
            return default_profile(offered)
        yours = ", ".join(profile.name for profile in offered) or "none: this hub has no profiles"
        raise ValueError(f'there is no profile "{name}" for you; yours are: {yours}')


def _groups(spawner: Any) -> set[str]:
    return {group.name for group in spawner.user.groups}


def _remember(spawner: Any, options: dict[str, str]) -> None:
    spawner.user_options = spawner.orm_spawner.user_options = options
    spawner.last_profile = options.get("profile", "")


def configure_options(c: Any, settings: Settings) -> None:
    """Set the traits that these options are about."""
    options = settings.options
    c.JupyterHub.allow_named_servers = options.named_servers > 0
    c.JupyterHub.named_server_limit_per_user = options.named_servers
    c.JupyterHub.redirect_to_server = options.start == "straight"
    c.JupyterHub.active_server_limit = options.active_servers_max
    # Nobody is turned away: they wait in line.
    c.JupyterHub.concurrent_spawn_limit = 0
    c.BerthSpawner.starts_at_once = options.starts_at_once_max
    if options.logo:
        c.JupyterHub.logo_file = f"{LOGO}.{options.logo}"
    if options.announcement:
        shown = urlize(options.announcement, rel="noopener", target="_blank")
        c.JupyterHub.template_vars = {**c.JupyterHub.get("template_vars", {}), "announcement": shown}
    c.BerthSpawner.gpus = options.gpus
    choice = Choice(settings)
    c.BerthSpawner.options_form = choice.form
    c.BerthSpawner.options_from_form = choice.from_form
    c.BerthSpawner.apply_user_options = choice.apply

"""A fragment of the site's: sees what Berth has set."""

c = get_config()  # type: ignore[name-defined] # noqa: F821 (the hub defines it)
c.JupyterHub.template_vars = {**c.JupyterHub.template_vars, "seen_by_first": True}
c.BerthSpawner.environment = {**c.BerthSpawner.environment, "SITE_FRAGMENT": "first"}

"""Another, which comes after it."""

c = get_config()  # type: ignore[name-defined] # noqa: F821 (the hub defines it)
c.BerthSpawner.environment = {
    **c.BerthSpawner.environment,
    "SITE_FRAGMENT": c.BerthSpawner.environment["SITE_FRAGMENT"] + " second",
}

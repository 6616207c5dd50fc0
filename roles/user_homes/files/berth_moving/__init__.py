"""Moves people's homes and accounts between hubs. On hosts and controllers, by Python's standard library alone."""

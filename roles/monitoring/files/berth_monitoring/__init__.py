"""Watches a host: what Prometheus, its exporters and Alertmanager are told, and what berths use.

Only the standard library and Debian's python3-cryptography: it runs beside the hub, not in it, and stays up when the
hub is down.
"""

"""Backup and restore of a host, around restic. Runs on the host with Python's standard library alone."""

"""Berth's command line: a thin face on the playbooks, which can be run with ansible-playbook just as well."""

__version__ = "0.1.0"

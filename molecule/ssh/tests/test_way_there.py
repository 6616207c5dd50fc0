"""The host was reached as a site's is: by SSH with a known key, as nobody special, with sudo's password."""

from testinfra.host import Host


def test_provisioned_through_ssh_and_sudo_with_a_password(host: Host) -> None:
    journal = host.check_output("journalctl --no-pager --output=cat")
    assert "Accepted publickey for operator" in journal
    assert "session opened for user root(uid=0) by operator" in journal
    # -n: without a password sudo does nothing for this user.
    assert host.run("setpriv --reuid=operator --regid=operator --init-groups sudo -n true").failed


def test_no_other_user_was_logged_in(host: Host) -> None:
    accepted = host.check_output("journalctl --no-pager --output=cat --grep='Accepted '")
    assert all("for operator from" in line for line in accepted.splitlines())

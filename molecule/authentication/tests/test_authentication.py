"""Ways to log in, each against what people really use, one after another on one host: homes stay, sessions do not."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import requests
from converging import assert_converges_to_nothing, converge, refusal
from hub_client import HubClient, wait_until
from openid_provider import CLIENT, ISSUER, SECRET, OpenId
from testinfra.host import Host

HUB = ["jupyterhub"]
OF_THE_HUB = "alice-of-the-hub-itself"
PEOPLE = {name: f"{name}-of-this-very-host" for name in ("alice", "petra", "locked", "expired", "service", "root")}
ACCOUNTS = f"""
set -eu
for name in alice petra locked expired; do id $name >/dev/null 2>&1 || useradd --create-home $name; done
id service >/dev/null 2>&1 || useradd --system service
{"".join(f"echo {name}:{password} | chpasswd;" for name, password in PEOPLE.items())}
groupadd --force course
usermod --append --groups course alice
usermod --append --groups course service
usermod --append --groups course locked
usermod --append --groups course expired
usermod --lock locked
chage --expiredate 0 expired
"""
PAM = {"jupyterhub_auth": "pam", "jupyterhub_admins": ["boss"], "jupyterhub_allowed_groups": ["course"]}
DIRECTORY = {
    "jupyterhub_auth": "ldap",
    "jupyterhub_admins": ["boss"],
    "jupyterhub_allowed_groups": ["cn=course,dc=nodomain"],
    "jupyterhub_ldap_server": "localhost",
}
OPENID = {
    "jupyterhub_auth": "oidc",
    "jupyterhub_admins": ["boss"],
    "jupyterhub_allowed_users": ["alice"],
    "jupyterhub_oauth_client_id": CLIENT,
    "jupyterhub_oauth_client_secret": SECRET,
    "jupyterhub_oidc_issuer": ISSUER,
}


def browser(hub: HubClient) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.verify = hub.ca
    return session


def log_in(hub: HubClient, name: str, password: str) -> requests.Session | None:
    """A browser that is logged in; None if name and password are refused."""
    session = browser(hub)
    session.get(f"{hub.url}/hub/login", timeout=60)
    form = {"username": name, "password": password, "_xsrf": session.cookies["_xsrf"]}
    answer = session.post(f"{hub.url}/hub/login", data=form, timeout=60, allow_redirects=False)
    assert answer.status_code in (302, 403), f"{name}: {answer.status_code} {answer.text}"
    return session if answer.status_code == 302 else None


def is_in(hub: HubClient, session: requests.Session) -> bool:
    return session.get(f"{hub.url}/hub/home", timeout=60, allow_redirects=False).status_code == 200


def switch(hub: HubClient, variables: Mapping[str, object]) -> None:
    converge(variables=variables, tags=HUB)
    wait_until(hub.healthy, 120)


@pytest.fixture(scope="module")
def alices(hub: HubClient, host: Host) -> requests.Session:
    """A browser of alice's, from the time of the hub's own accounts, and a file in her home."""
    switch(hub, {})
    hub.add_users({"name": "alice", "password": OF_THE_HUB, "update_password": "always"})
    session = log_in(hub, "alice", OF_THE_HUB)
    assert session is not None
    host.check_output(
        "install -d -o 1000 -g 1000 -m 700 /srv/berth/homes/alice && echo mine >/srv/berth/homes/alice/mine"
    )
    return session


def test_what_lacks_something_is_refused_before_anything_changes(hub: HubClient, host: Host) -> None:
    before = host.check_output("sha256sum /etc/berth/hub.json")
    incomplete = {key: value for key, value in OPENID.items() if key != "jupyterhub_oauth_client_secret"}
    assert "set jupyterhub_oauth_client_secret" in refusal(variables=incomplete, tags=HUB)
    assert "one of: native, shared-password" in refusal(variables={"jupyterhub_auth": "kerberos"}, tags=HUB)
    assert host.check_output("sha256sum /etc/berth/hub.json") == before


def test_accounts_of_the_host(hub: HubClient, host: Host, alices: requests.Session) -> None:
    done = host.run(ACCOUNTS)
    assert done.rc == 0, done.stderr
    switch(hub, PAM)
    # Whoever is called alice here need not be who was called so by the hub.
    assert not is_in(hub, alices)
    mine = log_in(hub, "alice", PEOPLE["alice"])
    assert mine is not None
    assert is_in(hub, mine)
    for name in ("petra", "locked", "expired", "service", "root"):
        assert log_in(hub, name, PEOPLE[name]) is None, name
    for wrong in (OF_THE_HUB, "", PEOPLE["petra"]):
        assert log_in(hub, "alice", wrong) is None
    assert log_in(hub, "Alice", PEOPLE["alice"]) is None
    logs = host.check_output("journalctl --no-pager --boot")
    assert not [name for name, password in PEOPLE.items() if password in logs]


def test_whatever_else_runs_on_the_host_cannot_ask_for_passwords(host: Host) -> None:
    socket = host.file("/run/berth-pam.sock")
    assert (socket.user, socket.group, socket.mode) == ("root", "berth", 0o660)


def test_a_directory(hub: HubClient, host: Host) -> None:
    script = Path(__file__).with_name("directory.sh").read_text()
    done = host.run("bash -c %s", script)
    assert done.rc == 0, done.stderr
    switch(hub, {**DIRECTORY, "jupyterhub_ldap_search_base": "dc=nodomain"})
    _asks_the_directory(hub)
    assert not host.service("berth-pam.socket").is_running
    assert not host.file("/etc/berth/secrets/ldap_search_password").exists


def test_a_directory_whose_users_follow_a_template_and_tls_from_the_start(hub: HubClient, host: Host) -> None:
    host.check_output(
        "sed -i 's|^SLAPD_SERVICES=.*|SLAPD_SERVICES=\"ldap:/// ldaps:/// ldapi:///\"|' /etc/default/slapd"
        " && systemctl restart slapd"
    )
    template = ["uid={username},ou=people,dc=nodomain"]
    switch(hub, {**DIRECTORY, "jupyterhub_ldap_tls": "ldaps", "jupyterhub_ldap_bind_dn_templates": template})
    _asks_the_directory(hub)


def _asks_the_directory(hub: HubClient) -> None:
    assert log_in(hub, "alice", "alice-of-the-directory") is not None
    assert log_in(hub, "ALICE", "alice-of-the-directory") is not None
    assert log_in(hub, "lars", "lars-of-the-directory") is None  # not in the group
    for name, password in (("alice", "wrong"), ("alice", ""), ("alice", " "), ("a*", "alice-of-the-directory")):
        assert log_in(hub, name, password) is None, (name, password)


def test_a_directory_that_does_not_answer_is_told_of(hub: HubClient, host: Host) -> None:
    host.check_output("systemctl stop slapd")
    session = browser(hub)
    session.get(f"{hub.url}/hub/login", timeout=60)
    form = {"username": "alice", "password": "alice-of-the-directory", "_xsrf": session.cookies["_xsrf"]}
    answer = session.post(f"{hub.url}/hub/login", data=form, timeout=60)
    assert answer.status_code == requests.codes.unavailable
    assert "The directory does not answer" in answer.text


def test_an_openid_provider(hub: HubClient, host: Host) -> None:
    provider = OpenId(host)
    wait_until(provider.ready, 60)
    people = {"alice": "alice-of-the-provider", "mallory": "mallory-of-the-provider"}
    provider.prepare(f"{hub.url}/hub/oauth_callback", people)
    switch(hub, OPENID)
    secret = host.file("/etc/berth/secrets/oauth_client_secret")
    assert (secret.user, secret.group, secret.mode) == ("root", "berth", 0o640)
    assert SECRET not in host.check_output("cat /etc/berth/hub.json; journalctl --no-pager --boot")
    for name, status in (("alice", 302), ("mallory", 403)):
        session = browser(hub)
        away = session.get(f"{hub.url}/hub/oauth_login", timeout=60, allow_redirects=False)
        answer = provider.log_in(session, away.headers["Location"], name, people[name])
        assert answer.status_code == status, answer.text
        assert is_in(hub, session) == (status == 302)


def test_once_more_changes_nothing(hub: HubClient) -> None:
    assert_converges_to_nothing(variables=OPENID, tags=HUB)


def test_back_to_accounts_of_the_hub_with_passwords_and_homes(
    hub: HubClient, host: Host, alices: requests.Session
) -> None:
    switch(hub, {})
    assert not host.file("/etc/berth/secrets/oauth_client_secret").exists
    assert log_in(hub, "alice", "alice-of-the-directory") is None
    assert log_in(hub, "alice", OF_THE_HUB) is not None
    assert host.check_output("cat /srv/berth/homes/alice/mine") == "mine"

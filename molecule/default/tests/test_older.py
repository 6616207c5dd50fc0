"""Hosts that are not as this checkout leaves them: of an older version, or left by a converge that broke off."""

import json
from pathlib import Path

import converging
from hub_client import HubClient, wait_until
from testinfra.host import Host

LACKING = ("/opt/berth/lib/berth_hub/fragments.py", "/etc/systemd/system/berth-pam.socket")
"""What an older version had not, and a dry run of the hub's role asks for."""

ONLY_OLDER = "/opt/berth/lib/berth_hub/settings.py"


def hub_pid(host: Host) -> str:
    pid: str = host.check_output("systemctl show --property=MainPID --value berth-hub.service")
    return pid


def test_a_host_of_an_older_version_is_told_what_would_change_and_is_brought_up_to_date(
    host: Host, hub: HubClient, tmp_path: Path
) -> None:
    (tmp_path / "10-site.py").write_text("c.JupyterHub.active_server_limit = 50\n")
    host.check_output("rm -f %s %s && systemctl daemon-reload", *LACKING)
    # The older version's archive has a file that this one has not.
    host.check_output("touch %s", ONLY_OLDER)
    host.check_output("tar --append --file=/opt/berth/laid/jupyterhub.tar --directory=/ %s", ONLY_OLDER.lstrip("/"))
    dry = converging.converge(variables={"jupyterhub_config_d": str(tmp_path)}, tags=["jupyterhub"], check=True)
    assert converging.changes(dry) > 0
    assert "could not try the site's fragments" in " ".join(dry.stdout.split())
    assert not host.file(LACKING[0]).exists

    converging.converge(tags=["jupyterhub"])
    wait_until(hub.healthy)
    assert all(host.file(path).exists for path in LACKING)
    assert not host.file(ONLY_OLDER).exists
    converging.assert_converges_to_nothing(tags=["jupyterhub"])


def test_what_a_converge_that_broke_off_left_running_is_restarted_by_the_next(host: Host, hub: HubClient) -> None:
    wait_until(hub.healthy)
    before = hub_pid(host)
    # Written, and its handlers never run.
    host.check_output(
        "cp -p /etc/berth/hub.json /etc/berth/hub.json.new && mv /etc/berth/hub.json.new /etc/berth/hub.json"
    )
    converging.converge(tags=["jupyterhub"])
    assert hub_pid(host) != before
    wait_until(hub.healthy)


def test_what_somebody_has_taken_away_or_changed_is_set_right(host: Host, hub: HubClient) -> None:
    daemon, leftover = "/etc/docker/daemon.json", "/etc/berth/secrets/oauth_client_secret"
    settings, published = "/srv/berth/shared/settings.json", "/var/lib/berth/notebooks/published.tar"
    before = host.check_output("sha256sum %s", published)
    host.check_output("apt-get -qq remove -y mmdebstrap && apt-mark auto iproute2")
    host.check_output("echo '{\"max-concurrent-downloads\": 2}' >%s", daemon)
    host.check_output("chmod 0600 %s && echo more >>%s && touch %s", settings, published, leftover)
    host.check_output("systemctl disable --quiet --now docker.service docker.socket")

    roles = ["base", "docker", "shared_notebooks", "jupyterhub"]
    converging.converge(tags=roles)
    assert host.package("mmdebstrap").is_installed
    assert host.check_output("apt-mark showauto iproute2") == ""
    configured = json.loads(host.file(daemon).content)
    assert (configured["max-concurrent-downloads"], configured["live-restore"]) == (2, True)
    assert host.file(settings).mode == 0o644
    assert host.check_output("sha256sum %s", published) == before
    assert not host.file(leftover).exists
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled
    wait_until(hub.healthy)
    converging.assert_converges_to_nothing(tags=roles)

"""What testssl.sh, which knows the attacks on TLS of all years, finds at the front."""

import json
from urllib.parse import urlsplit

import pytest
from hub_client import HubClient
from testinfra.host import Host

CA = "/etc/berth/tls/ca.crt"
REPORT = "/run/testssl.json"
BAD = {"MEDIUM", "HIGH", "CRITICAL"}

OF_A_CA_OF_THE_HOSTS_OWN = {"cert_revocation"}
"""It has nobody to ask whether a certificate was revoked; one of a public CA has (proxy_tls own or acme)."""


@pytest.fixture(scope="module")
def findings(host: Host, hub: HubClient) -> dict[str, tuple[str, str]]:
    """Severity and text of each finding: protocols, ciphers, key exchange, certificate, known holes and headers."""
    host.check_output("DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends testssl.sh")
    checks = "--protocols --std --fs --server-defaults --vulnerable --headers"
    address = f"https://localhost:{urlsplit(hub.url).port}"
    found = host.run(f"testssl --quiet --color 0 --overwrite --add-ca {CA} --jsonfile {REPORT} {checks} {address}")
    assert host.file(REPORT).exists, found.stdout + found.stderr
    listed = json.loads(host.file(REPORT).content_string)
    return {one["id"]: (one["severity"], one["finding"]) for one in listed}


def test_it_has_looked(findings: dict[str, tuple[str, str]]) -> None:
    assert findings["TLS1_3"][0] == "OK"
    assert findings["TLS1"] == ("INFO", "not offered")
    assert findings["heartbleed"][0] == "OK"
    assert findings["cert_chain_of_trust"] == ("OK", "passed.")


def test_nothing_that_matters(findings: dict[str, tuple[str, str]]) -> None:
    found = {name: what for name, what in findings.items() if what[0] in BAD and name not in OF_A_CA_OF_THE_HOSTS_OWN}
    assert not found

"""An alert for real: the hub is down, and a mail and a request say so. A short wait replaces that of the settings."""

import json

from hub_client import HubClient, wait_until
from testinfra.host import Host

RECEIVE = """
import http.server, json, socketserver, threading, time

class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        for alert in body["alerts"]:
            print("hook", alert["status"], alert["labels"]["alertname"], flush=True)

class Mail(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 sink\\r\\n")
        body = False
        for line in self.rfile:
            if body and line != b".\\r\\n":
                print("mail", line.decode().strip(), flush=True)
                continue
            verb, body = line[:4].upper(), line[:4].upper() == b"DATA"
            self.wfile.write(b"354 go\\r\\n" if body else b"250 ok\\r\\n")
            if verb == b"QUIT":
                return

threading.Thread(target=http.server.ThreadingHTTPServer(("127.0.0.1", 9999), Hook).serve_forever, daemon=True).start()
threading.Thread(target=socketserver.ThreadingTCPServer(("127.0.0.1", 2525), Mail).serve_forever, daemon=True).start()
print("ready", flush=True)
time.sleep(400)
"""

DESTINATIONS = {
    "mail": ["ops@example.org"],
    "mail_from": "berth@example.org",
    "smtp": "127.0.0.1:2525",
    "smtp_tls": False,
    "smtp_user": "",
    "smtp_password": "",
    "webhook": ["http://127.0.0.1:9999/hook"],
    "group_wait": "1s",
    "repeat": "1h",
}

SHORTEN = """
import json
path = "/etc/berth/monitoring.json"
settings = json.load(open(path))
settings["interval_seconds"] = 2
settings["thresholds"]["after_seconds"] = 2
json.dump(settings, open(path, "w"))
"""


def test_a_hub_that_is_down_is_told_by_mail_and_webhook(host: Host, hub: HubClient) -> None:
    alerts = "/etc/berth/secrets/alerts.json"
    host.check_output("apt-get -q -y install --no-install-recommends prometheus-alertmanager")
    host.check_output("cp -p /etc/berth/monitoring.json /run/monitoring.json.before")
    try:
        host.check_output("systemd-run --unit=receive --quiet python3 -c %s", RECEIVE)
        host.check_output("install -o root -g berth-metrics -m 0640 /dev/null " + alerts)
        host.check_output("printf %%s %s >" + alerts, json.dumps(DESTINATIONS))
        host.check_output("python3 -c %s", SHORTEN)
        host.check_output("systemctl restart prometheus prometheus-alertmanager")
        host.check_output("systemctl stop berth-hub")

        def told() -> bool:
            got = host.check_output("journalctl --unit=receive --output=cat --no-pager").splitlines()
            return "hook firing BerthHubDown" in got and any(
                line.startswith("mail Subject:") and "The hub does not answer" in line for line in got
            )

        wait_until(told, 180, 2)
    finally:
        host.run("systemctl stop receive prometheus-alertmanager")
        host.run("rm -f " + alerts)
        host.run("cp -p /run/monitoring.json.before /etc/berth/monitoring.json")
        host.run("systemctl disable --quiet prometheus-alertmanager")
        host.check_output("systemctl restart prometheus")
        host.check_output("systemctl start berth-hub")
    wait_until(hub.healthy, 120)

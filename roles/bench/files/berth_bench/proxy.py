"""Fronts beside each other: Berth's, and configurable-http-proxy as a stock hub has it, both with TLS."""

import json
import os
import re
import secrets
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from berth_bench.hubs import BenchError, front, request, run
from berth_bench.spawn import Series

CONNECTIONS = 32
"""At once, each kept open."""

TALKERS = 20
"""Websockets at once."""

SECONDS = 4
"""Of load, each time."""

RATE = 1920
"""Requests a second that both fronts can answer: at their utmost, the one that answers more has more to wait for."""

STAGGER_MS = 13
"""Between the first requests of two connections at that rate. Each asks every 17 ms: so their turns are spread."""

PATIENCE_SECONDS = 20
"""For a program to listen, and for a route to be there."""

ROUTES_A_ROUND = 5

_BACKEND = 8710
_CHP, _CHP_API = 8712, 8713
_HUBS_PYTHON = "/opt/berth/hub/bin/python"
_NODE_PROGRAM = Path("/var/lib/berth-bench/peer/node_modules/.bin/configurable-http-proxy")
_ROUTES = Path("/var/lib/berth/routes/berth-bench.yaml")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


class Traefik:
    """Berth's front, as it is."""

    name = "berth"

    def __init__(self) -> None:
        self.url = front()
        if not self.url.startswith("https:"):
            raise BenchError("proxy_tls is off on this host, and fronts are compared with TLS")
        self.process = int(run("systemctl", "show", "--property=MainPID", "--value", "berth-proxy"))
        self._routes: dict[str, str] = {}

    def route(self, path: str, target: str) -> None:
        """Have paths that start so lead there: by a file, as the hub does."""
        self._routes[path] = target
        routers = {
            f"bench{number}": {"rule": f"PathPrefix(`{one}`)", "entryPoints": ["public"], "service": f"bench{number}"}
            for number, one in enumerate(self._routes)
        }
        services = {
            f"bench{number}": {"loadBalancer": {"servers": [{"url": one}]}}
            for number, one in enumerate(self._routes.values())
        }
        new = _ROUTES.with_name(".berth-bench")
        new.write_text(json.dumps({"http": {"routers": routers, "services": services}}), encoding="utf-8")
        new.chmod(0o644)
        new.replace(_ROUTES)


class Chp:
    """A proxy of the bench's own, on loopback addresses."""

    name = "configurable-http-proxy"
    url = f"https://127.0.0.1:{_CHP}"

    def __init__(self, token: str, process: int) -> None:
        self.process = process
        self._headers = {"Authorization": f"token {token}"}

    def route(self, path: str, target: str) -> None:
        """Have paths that start so lead there: by its API, as a hub does."""
        url = f"http://127.0.0.1:{_CHP_API}/api/routes{path.rstrip('/')}"
        status, body = request("POST", url, self._headers, json.dumps({"target": target}))
        if status != 201:
            raise BenchError(f"configurable-http-proxy takes no route: {status} {body.decode()[:300]}")


Front = Traefik | Chp


@dataclass(frozen=True)
class Load:
    """What one load was answered.

    Attributes:
        per_second: Requests.
        p50: Of their seconds.
        p99: Of their seconds.
    """

    per_second: float
    p50: float
    p99: float


def measure(rounds: int) -> tuple[Series, dict[str, dict[str, float | str]]]:
    """By turns; what stands behind is measured too, without a front, since no front can be faster.

    Returns:
        Seconds until a new route was there; and by front what it answered.
    """
    loads: dict[str, list[Load]] = {}
    steady: dict[str, list[Load]] = {}
    talks: dict[str, list[dict[str, float]]] = {}
    routes: Series = {}
    with _fronts() as fronts:
        plain = {"no front, no TLS": f"http://127.0.0.1:{_BACKEND}/"}
        ways = plain | {one.name: f"{one.url}/berth-bench/http/" for one in fronts}
        for one in fronts:
            one.route("/berth-bench/http/", f"http://127.0.0.1:{_BACKEND}")
            one.route("/berth-bench/echo/", f"http://127.0.0.1:{_BACKEND + 1}")
            _wait_for(f"{one.url}/berth-bench/http/")
            _load(f"{one.url}/berth-bench/http/", 1)
        for number in range(rounds):
            for name, url in ways.items():
                loads.setdefault(name, []).append(_load(url, SECONDS))
                steady.setdefault(name, []).append(_steady_load(url, SECONDS))
            for one in fronts:
                echo = f"{one.url.replace('https', 'wss', 1)}/berth-bench/echo/"
                before = spent(one.process)
                said = run(_HUBS_PYTHON, "-m", "berth_bench.echo", "talk", echo, str(TALKERS), str(SECONDS))
                talks.setdefault(one.name, []).append(json.loads(said) | {"spent": spent(one.process) - before})
                took = [_route(one, f"/berth-bench/{number}-{again}/") for again in range(ROUTES_A_ROUND)]
                routes.setdefault(f"{one.name} (a new route)", []).extend(took)
    return routes, {name: _figures(loads[name], steady[name], talks.get(name, [])) for name in ways}


def _figures(loads: list[Load], steady: list[Load], talks: list[dict[str, float]]) -> dict[str, float | str]:
    figures: dict[str, float | str] = {"requests/s": round(statistics.median(load.per_second for load in loads))}
    for found, when in ((loads, ""), (steady, f" at {RATE}/s")):
        figures[f"p50 ms{when}"] = round(1000 * statistics.median(load.p50 for load in found), 2)
        figures[f"p99 ms{when}"] = round(1000 * statistics.median(load.p99 for load in found), 2)
    if talks:
        figures["messages/s"] = round(statistics.median(talk["per_second"] for talk in talks))
        figures["message p99 ms"] = round(1000 * statistics.median(talk["p99"] for talk in talks), 2)
        figures["processor µs a message"] = round(
            1e6 * statistics.median(talk["spent"] / talk["count"] for talk in talks), 1
        )
    return figures


@contextmanager
def _fronts() -> Iterator[list[Front]]:
    token = secrets.token_hex(20)
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory()))
        key, certificate = folder / "key", folder / "certificate"
        make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=bench -days 2"
        run(*make.split(), "-keyout", str(key), "-out", str(certificate))
        ending.callback(_ROUTES.unlink, missing_ok=True)
        ending.enter_context(_running([_HUBS_PYTHON, "-m", "berth_bench.echo", "serve", str(_BACKEND)], {}))
        addresses = [f"--ip=127.0.0.1 --port={_CHP} --api-ip=127.0.0.1 --api-port={_CHP_API}"]
        options = [*addresses[0].split(), f"--ssl-key={key}", f"--ssl-cert={certificate}", "--log-level=warn"]
        chp = ending.enter_context(_running([str(_NODE_PROGRAM), *options], {"CONFIGPROXY_AUTH_TOKEN": token}))
        _wait_for(f"http://127.0.0.1:{_BACKEND}/")
        _wait_for(f"{Chp.url}/", 404)
        yield [Traefik(), Chp(token, chp.pid)]


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    path = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=path | environment) as process:
        try:
            yield process
        finally:
            process.terminate()


def spent(process: int) -> float:
    """Processor seconds of a process so far: its own, and the system's for it (proc_pid_stat(5))."""
    _, _, fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(") ")
    return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")


def _wait_for(url: str, wanted: int = 200) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(OSError):
            if request("GET", url, {})[0] == wanted:
                return
        if time.monotonic() > deadline:
            raise BenchError(f"{url} does not answer with {wanted}")
        time.sleep(0.005)


def _route(one: Front, path: str) -> float:
    began = time.monotonic()
    one.route(path, f"http://127.0.0.1:{_BACKEND}")
    _wait_for(f"{one.url}{path}")
    return time.monotonic() - began


def _load(url: str, seconds: int) -> Load:
    """Load a front with wrk, by connections that are kept open.

    Raises:
        BenchError: It did not answer everything.
    """
    said = run("wrk", "--latency", "-t2", f"-c{CONNECTIONS}", f"-d{seconds}s", url)
    return read_load(said)


def read_load(said: str) -> Load:
    """What wrk says, in numbers.

    Raises:
        BenchError: There were errors.
    """
    if wrong := re.search(r"Socket errors:.*|Non-2xx.*", said):
        raise BenchError(f"wrk: {wrong[0]}")
    rate = re.search(r"Requests/sec: +([\d.]+)", said)
    shares = {
        share: float(value) * _UNITS[unit]
        for share, value, unit in re.findall(r"(50|99)% +([\d.]+)(us|ms|s|m)\b", said)
    }
    if not rate or set(shares) != {"50", "99"}:
        raise BenchError(f"wrk says something else than expected: {said[:500]}")
    return Load(float(rate[1]), shares["50"], shares["99"])


def _steady_load(url: str, seconds: int) -> Load:
    """Ask so many times a second, no matter what could be answered, by as many connections.

    Raises:
        BenchError: It did not answer everything.
    """
    count = RATE * seconds
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        options = [f"-c{CONNECTIONS}", f"--rps={RATE // CONNECTIONS}", f"-n{count}", f"--log-file={log}"]
        # One connection after the other: those that are made at once ask at once, over and over.
        run("h2load", "--h1", "--rate=1", f"--rate-period={STAGGER_MS}ms", *options, url)
        rows = [line.split("\t") for line in log.read_text(encoding="ascii").splitlines()]
    return read_steady(rows, count)


def read_steady(rows: list[list[str]], count: int) -> Load:
    """What h2load has noted of each request: when it began, its status, and how long it took, in microseconds.

    Raises:
        BenchError: It did not answer everything.
    """
    well = sorted(int(took) for _, status, took in rows if status == "200")
    if len(well) != count:
        raise BenchError(f"{len(well)} of {count} requests were answered with 200")
    lasted = (max(int(began) for began, _, _ in rows) - min(int(began) for began, _, _ in rows)) / 1e6
    return Load(count / lasted, well[count // 2] / 1e6, well[int(0.99 * count)] / 1e6)

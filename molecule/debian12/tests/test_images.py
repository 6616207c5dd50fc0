"""Images with more in them, and of a site's own: refused with what to add, or run as they are."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from converging import converge, refusal
from hub_client import HubClient, wait_until
from testinfra.host import Host

InBerth = Callable[[str, str], Any]

PROJECT = Path(__file__).resolve().parents[3]
SITE = yaml.safe_load((Path(__file__).resolve().parents[1] / "vars" / "main.yml").read_text())
PLATFORM = os.environ.get("BERTH_DEMO_NAME", "berth-default")

# As the Jupyter Docker Stacks make theirs: tini and a start script as entry point, a user jovyan in the group users,
# NB_UID and NB_GID, and start scripts of the server. The host's docker-init is tini.
STACKS = """
FROM {base}
USER root
ENV NB_USER=jovyan NB_UID=1000 NB_GID=100 HOME=/home/jovyan SHELL=/bin/bash JUPYTER_PORT=8888
RUN usermod --gid 100 jovyan && chown -R 1000:100 /home/jovyan
COPY tini /usr/bin/tini
COPY start.sh start-notebook.sh start-singleuser.sh /usr/local/bin/
RUN chmod 755 /usr/bin/tini /usr/local/bin/*.sh
USER 1000
WORKDIR /home/jovyan
ENTRYPOINT ["tini", "-g", "--", "start.sh"]
CMD ["start-notebook.sh"]
"""
START = '#!/bin/bash\nset -e\nexport STARTED_BY_STACKS=yes\nif [ $# -eq 0 ]; then exec bash; else exec "$@"; fi\n'
START_NOTEBOOK = (
    '#!/bin/bash\nif [ -n "$JUPYTERHUB_API_TOKEN" ]; then exec start-singleuser.sh "$@"; fi\nexec jupyter lab "$@"\n'
)
START_SINGLEUSER = '#!/bin/bash\nexec jupyterhub-singleuser "$@"\n'

OLD_SERVER = """
USER root
RUN mkdir /old && printf '#!/bin/sh\\necho 4.1.6\\n' >/old/jupyterhub-singleuser && chmod -R 755 /old
USER 1000
ENV PATH=/old:/usr/bin:/bin
"""

BAD = {
    "site/no-server:1": ("ENV PATH=/usr/bin:/bin", "it has no jupyterhub-singleuser on its PATH"),
    "site/old:1": (OLD_SERVER, "its JupyterHub is 4.1.6, and 5.0 or newer is needed"),
    "site/other-user:1": ("USER 1234", "it runs as uid 1234, and homes belong to 1000 (user_homes_uid)"),
}
"""What is added to a good image, and what is said of it then."""


def build(host: Host, name: str, dockerfile: str, **files: str) -> None:
    """Build an image on the platform."""
    folder = "/var/tmp/" + re.sub(r"\W", "-", name)  # noqa: S108 (of the platform)
    host.check_output(
        f"mkdir -p {folder} && cp $(command -v docker-init || echo /usr/libexec/docker/docker-init) {folder}/tini"
    )
    for file, text in {"Dockerfile": dockerfile, **files}.items():
        command = ["docker", "exec", "--interactive", PLATFORM, "sh", "-c", f"cat >{folder}/{file}"]
        subprocess.run(command, input=text, text=True, check=True)
    variables = " ".join(f"--build-arg={name}" for name in ("HTTP_PROXY", "HTTPS_PROXY", "PIP_INDEX_URL"))
    host.check_output(f"DOCKER_BUILDKIT=0 docker build --quiet {variables} --tag {name} {folder}")


def build_stacks(host: Host, base: str, edition: int) -> None:
    build(
        host,
        "site/stacks:1",
        STACKS.format(base=base) + f"LABEL edition={edition}\n",
        **{"start.sh": START, "start-notebook.sh": START_NOTEBOOK, "start-singleuser.sh": START_SINGLEUSER},
    )


def use(hub: HubClient, variables: dict[str, Any]) -> None:
    converge(variables=variables, tags=["notebook_image", "jupyterhub"])
    wait_until(hub.healthy, 120)


@pytest.fixture(scope="module")
def base(host: Host) -> str:
    """The image that Berth built."""
    name: str = host.check_output(
        "python3 -c \"import json; print(json.load(open('/etc/berth/hub.json'))['berth']['image'])\""
    )
    return name


@pytest.fixture(scope="module")
def own_image(host: Host, hub: HubClient, base: str) -> Iterator[str]:
    """An image of the site's own that berths run, until the module ends."""
    build_stacks(host, base, 1)
    try:
        use(hub, {"notebook_image_from": "site/stacks:1"})
        hub.add_users(*({"name": name, "password": "a-long-enough-password"} for name in ("ida", "jan")))
        yield "site/stacks:1"
    finally:
        for name in ("ida", "jan"):
            hub.stop(name)
        use(hub, SITE)
        hub.add_users(*({"name": name, "state": "absent"} for name in ("ida", "jan")))


def test_what_the_site_wants_more_is_in_the_image(people: tuple[str, str], in_berth: InBerth) -> None:
    assert in_berth("alice", "python -c 'import humanize; print(humanize.intcomma(12345))'").stdout == "12,345\n"
    assert in_berth("alice", "tree --version").succeeded


def test_what_cannot_be_a_berth_is_refused_with_what_to_add(host: Host, base: str) -> None:
    before = host.check_output("sha256sum /etc/berth/hub.json")
    for name, (lines, said) in BAD.items():
        build(host, name, f"FROM {base}\n{lines}\n")
        told = refusal(variables={"notebook_image_from": name}, tags=["notebook_image", "jupyterhub"])
        assert f"{name}: {said}" in told
        assert "add to its Dockerfile: " in told
    assert host.check_output("sha256sum /etc/berth/hub.json") == before


def test_one_like_the_docker_stacks_runs_unchanged(
    host: Host, hub: HubClient, own_image: str, in_berth: InBerth
) -> None:
    hub.start("ida")
    assert host.check_output("docker inspect --format '{{.Config.Image}}' berth-ida") == own_image
    code = "import os; print(os.getuid(), os.getgid(), os.environ['STARTED_BY_STACKS'], os.getcwd())"
    assert hub.execute("ida", hub.new_kernel("ida"), code).split() == ["1000", "100", "yes", "/home/jovyan"]
    assert in_berth("ida", "echo kept >~/kept.txt").succeeded
    assert host.file("/srv/berth/homes/ida/kept.txt").content_string == "kept\n"


def test_a_rebuilt_image_disturbs_nobody(host: Host, hub: HubClient, own_image: str, base: str) -> None:
    hub.start("ida")
    kernel = hub.new_kernel("ida")
    hub.execute("ida", kernel, "kept = 47")
    build_stacks(host, base, 2)
    use(hub, {"notebook_image_from": own_image})
    assert hub.execute("ida", kernel, "print(kept)").strip() == "47"
    hub.start("jan")
    edition = "docker inspect --format '{{index .Config.Labels \"edition\"}}' "
    assert host.check_output(edition + "berth-ida") == "1"
    assert host.check_output(edition + "berth-jan") == "2"


def test_the_example_of_the_documentation_makes_a_berth(host: Host, base: str) -> None:
    found = re.search(r"```dockerfile\n(.*?)```", (PROJECT / "docs" / "image.md").read_text(), re.DOTALL)
    assert found is not None
    build(host, "site/example:1", re.sub(r"ARG BASE=.*", f"ARG BASE={base}", found[1]))
    converge(variables={"notebook_image_from": "site/example:1"}, tags=["notebook_image"])

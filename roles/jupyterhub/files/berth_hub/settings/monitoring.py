"""What watches the host."""

from pydantic import Field

from berth_hub.settings.values import Strict


class Monitoring(Strict):
    """Where the status page gets its figures from; off unless the site says so."""

    enabled: bool = False
    prometheus_url: str = Field(default="http://127.0.0.1:9090", pattern=r"^http://[^/]+$")

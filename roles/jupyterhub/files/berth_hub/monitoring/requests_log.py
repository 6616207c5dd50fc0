"""Which requests the journal tells of."""

from jupyterhub import log
from jupyterhub.handlers.metrics import MetricsHandler
from jupyterhub.metrics import prometheus_log_method
from tornado.web import RequestHandler

SLOW_SECONDS = 1.0
"""From here on JupyterHub tells even of what it otherwise does not."""


def log_request(handler: RequestHandler) -> None:
    """JupyterHub's own way to log, but for Prometheus's visits: thousands a day, and each as the one before.

    Those that fail or are slow are told; all count in the hub's metrics.
    """
    dull = (
        isinstance(handler, MetricsHandler)
        and handler.get_status() < 300
        and handler.request.request_time() < SLOW_SECONDS
    )
    if dull:
        prometheus_log_method(handler)
    else:
        log.log_request(handler)

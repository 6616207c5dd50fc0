"""Why a request is not carried out."""

from http import HTTPStatus


class Refused(Exception):  # noqa: N818 (it is what happens to a request, as the journal says it)
    """The request is not one of those that berths need.

    Attributes:
        status: What the client is answered.
    """

    def __init__(self, reason: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> None:
        """Args: reason: for the client and for the journal, naming what is not allowed."""
        super().__init__(reason)
        self.status = status

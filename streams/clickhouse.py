"""The one place where ClickHouse clients are made, and where it is told what their refusals mean."""

import logging
from typing import Any

from clickhouse_driver import Client
from clickhouse_driver.errors import ErrorCodes, ServerException

from streams import tls
from streams.errors import Denied
from streams.settings import ClickHouseAddress

_NOT_LET_IN = (
    516,  # AUTHENTICATION_FAILED, which the driver does not list
    ErrorCodes.UNKNOWN_USER,
    ErrorCodes.WRONG_PASSWORD,
    ErrorCodes.REQUIRED_PASSWORD,
    ErrorCodes.IP_ADDRESS_NOT_ALLOWED,
)
_ACCESS_DENIED = 497


def _is_news(record: logging.LogRecord) -> bool:
    return not record.exc_info  # of what fails the caller tells, in one line and without a stack trace


_DRIVERS_LOG = logging.getLogger("clickhouse_driver.connection")
_DRIVERS_LOG.addHandler(logging.NullHandler())
_DRIVERS_LOG.addFilter(_is_news)


def connect(
    address: ClickHouseAddress, database: str | None = None, *, timeout_s: float = 300.0, **settings: Any
) -> Client:
    """Return a connection; it is made when it is first used.

    Args:
        address: Where the server is, and as whom it is reached.
        database: Database; None: that of the address.
        timeout_s: How long an answer may take.
        settings: ClickHouse's settings of the session.

    Raises:
        LabelloopError: nobody named a server, or a file with a password or certificates is unusable.
    """
    address.checked()
    secure: dict[str, Any] = {}
    if address.tls:
        tls.context(address.ca)
        secure = {"secure": True, "verify": True, "ca_certs": address.ca and str(address.ca)}
    return Client(
        address.host,
        address.port,
        database=address.database if database is None else database,
        user=address.user,
        password=address.password,
        client_name="labelloop",
        connect_timeout=5,
        send_receive_timeout=timeout_s,
        settings=settings,
        **secure,
    )


def refusal(error: Exception, address: ClickHouseAddress) -> Denied | None:
    """Return what to tell a person of a failure that waiting does not mend; None: it is another one."""
    server = f"ClickHouse at {address.host}:{address.port}"
    if isinstance(error, ServerException):
        if error.code in _NOT_LET_IN:
            return Denied(
                f"{server} does not let user {address.user} in: check name and password in LABELLOOP_CLICKHOUSE, of "
                "analysts in LABELLOOP_CLICKHOUSE_ANALYST, or in the file that their _PASSWORD_FILE names"
            )
        if error.code == _ACCESS_DENIED:
            return Denied(f"{server} refuses: {first_line(error).rstrip('.')}: grant it by deploy/clickhouse/roles.sql")
        return None
    objection = tls.objection(address.host, address.port, address.ca) if address.tls else None
    return None if objection is None else Denied(f"{server} {objection}")


def first_line(error: ServerException) -> str:
    """Return what the server said, in one line and without its stack trace."""
    text: str = error.message
    return " ".join(text.split("Stack trace:", 1)[0].split()).removeprefix("DB::Exception: ")

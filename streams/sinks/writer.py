"""The ClickHouse side of the sinks: one connection, inserts by column, and what a failure means."""

import struct
from collections.abc import Sequence
from typing import Any

from clickhouse_driver.errors import Error, ErrorCodes, ServerException, TooLargeStringSize, TypeMismatchError

from streams.clickhouse import connect, first_line, refusal
from streams.errors import LabelloopError, NotNow
from streams.settings import ClickHouseAddress

_AWAY = frozenset(
    {
        ErrorCodes.TIMEOUT_EXCEEDED,
        ErrorCodes.TOO_MANY_SIMULTANEOUS_QUERIES,
        ErrorCodes.SOCKET_TIMEOUT,
        ErrorCodes.NETWORK_ERROR,
        ErrorCodes.MEMORY_LIMIT_EXCEEDED,
        ErrorCodes.TABLE_IS_READ_ONLY,
        ErrorCodes.NOT_ENOUGH_SPACE,
        ErrorCodes.TOO_MANY_PARTS,
        ErrorCodes.QUERY_WAS_CANCELLED,
        ErrorCodes.ABORTED,
        ErrorCodes.READONLY,
        774,  # TABLE_IS_PERMANENTLY_READ_ONLY (by the setting table_readonly), which the driver does not list
        ErrorCodes.QUOTA_EXPIRED,
        ErrorCodes.CANNOT_WRITE_TO_FILE_DESCRIPTOR,
        ErrorCodes.NO_ZOOKEEPER,
        ErrorCodes.KEEPER_EXCEPTION,
        ErrorCodes.ALL_CONNECTION_TRIES_FAILED,
        ErrorCodes.UNKNOWN_STATUS_OF_INSERT,
        ErrorCodes.STD_EXCEPTION,  # how the file system's own errors are passed on
    }
)
"""What passes by itself, or when somebody has made room or given leave to write again: the sink waits for it."""

LIMIT_S = 60
"""Longest that an answer may take, seconds."""

_ROWS_FAULT = frozenset(
    {
        469,  # VIOLATED_CONSTRAINT, likewise
        ErrorCodes.TYPE_MISMATCH,
        ErrorCodes.CANNOT_CONVERT_TYPE,
        ErrorCodes.ARGUMENT_OUT_OF_BOUND,
        ErrorCodes.VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
        407,  # DECIMAL_OVERFLOW, likewise
        ErrorCodes.TOO_LARGE_STRING_SIZE,
        ErrorCodes.INCORRECT_DATA,
        ErrorCodes.CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN,
    }
)
"""What a row itself can be to blame for. Whatever else the server says is about the table or the access: taking it for
the row's fault would make dead letters of everything that comes."""

_CANNOT_PACK = (
    TypeMismatchError,
    TooLargeStringSize,
    struct.error,
    ValueError,
    TypeError,
    OverflowError,
    AttributeError,
)
"""How the driver says that a value does not fit its column."""


class Refused(Exception):
    """ClickHouse, or the driver before it, will never take these rows."""


class Writer:
    """Inserts batches.

    Args:
        address: The writer's access.
    """

    def __init__(self, address: ClickHouseAddress) -> None:
        self._address, self._client = address, connect(address, timeout_s=LIMIT_S)

    def insert(self, table: str, names: Sequence[str], columns: Sequence[list[Any]], token: str) -> None:
        """Insert rows given by column; the same token again changes nothing.

        Raises:
            NotNow: the server is away or full: the same bytes may be tried again.
            Refused: a row can never be stored.
            Denied: the server does not let the writer in, or not do this.
            LabelloopError: the server refuses for another reason, e.g. the table is missing: somebody has to mend it.
        """
        statement = f"INSERT INTO {table} ({', '.join(f'`{name}`' for name in names)}) VALUES"
        settings = {
            "insert_deduplication_token": token,
            "insert_deduplicate": 1,
            "deduplicate_blocks_in_dependent_materialized_views": 1,  # a history that was cut off is completed
            "async_insert": 0,
        }
        try:
            self._client.execute(statement, columns, columnar=True, settings=settings)
        except ServerException as error:
            self._client.disconnect()
            if error.code in _ROWS_FAULT:
                raise Refused(first_line(error)) from error
            raise self._failure(error) from error
        except _CANNOT_PACK as error:
            self._client.disconnect()  # half a block may have been sent
            raise Refused(f"{type(error).__name__}: {error}") from error
        except (Error, EOFError, OSError) as error:
            self._client.disconnect()
            raise refusal(error, self._address) or NotNow(f"ClickHouse: {error}") from error

    def query(self, statement: str, parameters: dict[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query.

        Raises:
            NotNow: the server is away.
            LabelloopError: the server refuses the query.
        """
        try:
            rows: list[tuple[Any, ...]] = self._client.execute(statement, parameters)
        except ServerException as error:
            self._client.disconnect()
            raise self._failure(error) from error
        except (Error, EOFError, OSError) as error:
            self._client.disconnect()
            raise refusal(error, self._address) or NotNow(f"ClickHouse: {error}") from error
        return rows

    def close(self) -> None:
        """Give the connection back."""
        self._client.disconnect()

    def _failure(self, error: ServerException) -> Exception:
        if error.code in _AWAY:
            return NotNow(f"ClickHouse: {first_line(error)}")
        return refusal(error, self._address) or LabelloopError(
            f"ClickHouse refuses: {first_line(error)}; nothing is lost: mend it and start again"
        )

"""What a failed insert is taken for decides between waiting, a dead letter, and calling for help."""

import struct
from typing import Any

import pytest
from clickhouse_driver import errors

from streams.errors import LabelloopError, NotNow
from streams.settings import ClickHouseAddress
from streams.sinks import writer
from streams.sinks.writer import Refused, Writer


class FailingClient:
    """Fails every query, and notes whether the connection was given up."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.disconnected = False

    def execute(self, *_: Any, **__: Any) -> None:
        raise self.failure

    def disconnect(self) -> None:
        self.disconnected = True


def server(code: int) -> errors.ServerException:
    return errors.ServerException("DB::Exception: it is so. Stack trace:\n\n0. deep inside", code)


@pytest.mark.parametrize(
    ("failure", "taken_for"),
    [
        (server(469), Refused),  # a constraint of the table
        (server(errors.ErrorCodes.TYPE_MISMATCH), Refused),
        (errors.TypeMismatchError("no number"), Refused),
        (struct.error("argument out of range"), Refused),
        (ValueError("no date"), Refused),
        (server(errors.ErrorCodes.TOO_MANY_PARTS), NotNow),
        (server(errors.ErrorCodes.MEMORY_LIMIT_EXCEEDED), NotNow),
        (server(errors.ErrorCodes.NOT_ENOUGH_SPACE), NotNow),
        (server(errors.ErrorCodes.CANNOT_WRITE_TO_FILE_DESCRIPTOR), NotNow),
        (server(errors.ErrorCodes.TABLE_IS_READ_ONLY), NotNow),
        (server(errors.ErrorCodes.READONLY), NotNow),
        (server(774), NotNow),  # a table made read-only
        (errors.NetworkError("refused"), NotNow),
        (errors.SocketTimeoutError("hangs"), NotNow),  # no NetworkError: a hung server must not cost a row
        (errors.UnexpectedPacketFromServerError("garbled"), NotNow),
        (EOFError("gone"), NotNow),
        (ConnectionResetError("gone"), NotNow),
        (server(errors.ErrorCodes.UNKNOWN_TABLE), LabelloopError),
        (server(516), LabelloopError),  # a wrong password
        (server(497), LabelloopError),  # access denied
    ],
)
def test_what_a_failed_insert_is_taken_for(
    failure: Exception, taken_for: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FailingClient(failure)
    monkeypatch.setattr(writer, "connect", lambda *_, **__: client)
    with pytest.raises(taken_for) as told:
        Writer(ClickHouseAddress("h", 9000, "u", "p")).insert("t", ["a"], [[1]], "token")
    assert client.disconnected, "half a block may have been sent"
    assert "deep inside" not in str(told.value)

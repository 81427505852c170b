"""When bugs make dead letters of too many records."""

import pytest

from streams.transport.guards import BugLimit, StartLimit
from streams.transport.producer import group_metadata


def test_ten_bugs_in_a_row_are_borne() -> None:
    limit = BugLimit()
    assert not any(limit.bug() for _ in range(10))
    assert limit.bug()


def test_a_record_that_passes_ends_the_row() -> None:
    limit = BugLimit(share=1.0)
    for _ in range(50):
        assert not any(limit.bug() for _ in range(10))
        limit.passed(1)


def test_a_crowd_of_bugs_is_too_many_even_with_others_between() -> None:
    limit = BugLimit()
    for _ in range(10):
        assert not limit.bug()
        limit.passed(20)
    assert limit.bug()


def test_bugs_one_in_200_are_borne() -> None:
    limit = BugLimit()
    for _ in range(100):
        assert not limit.bug()
        limit.passed(199)


def test_only_the_last_records_count() -> None:
    limit = BugLimit()
    for _ in range(5):
        for _ in range(9):
            assert not limit.bug()
            limit.passed(1)
        limit.passed(1000)


@pytest.mark.parametrize(("generation", "member"), [(-1, ""), (-1, "member"), (3, "")])
def test_the_metadata_of_nobody_is_refused(generation: int, member: str) -> None:
    """The broker would take it without any check."""
    with pytest.raises(ValueError, match="not a member"):
        group_metadata("g", generation, member)


def test_group_metadata_is_what_librdkafka_writes() -> None:
    assert group_metadata("g", 3, "m") == b"CGMDv2:\x03\0\0\0g\0m\0\x01"


def test_a_start_that_stands_still_is_over() -> None:
    limit = StartLimit(75.0)
    assert not limit.is_over(1000.0)  # no partitions yet
    limit.step(1000.0)
    assert not limit.is_over(1075.0)
    assert limit.is_over(1075.5)


def test_a_start_that_gets_on_may_take_its_time() -> None:
    limit = StartLimit(75.0)
    for now in range(0, 1000, 70):
        limit.step(float(now))
        assert not limit.is_over(now + 74.0)


def test_a_worker_that_is_ready_is_not_starting() -> None:
    limit = StartLimit(75.0)
    limit.step(0.0)
    limit.done()
    assert not limit.is_over(1000.0)

"""Questions about a partition that has no leader at the moment."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.clients import answered, once_led


def answers(*codes: int) -> list[KafkaException]:
    return [KafkaException(KafkaError(code)) for code in codes]


def test_a_partition_without_leader_is_asked_about_again() -> None:
    left = answers(KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)

    def ask() -> int:
        if left:
            raise left.pop()
        return 7

    assert once_led(ask) == 7


@pytest.mark.parametrize(
    ("code", "limit_s"), [(KafkaError.TOPIC_AUTHORIZATION_FAILED, 10.0), (KafkaError.LEADER_NOT_AVAILABLE, 0.0)]
)
def test_another_answer_or_no_leader_in_time_is_an_error(code: int, limit_s: float) -> None:
    times = list[int]()

    def ask() -> int:
        times.append(1)
        raise answers(code)[0]

    with pytest.raises(KafkaException):
        once_led(ask, limit_s)
    assert len(times) == 1


def test_an_empty_offset_is_no_answer() -> None:
    assert answered({"a": 0, "b": -1}) == {"a": 0, "b": -1}
    with pytest.raises(KafkaException):
        answered({"a": 5, "b": -1001})
    empty = [{"a": -1001}, {"a": 4}]
    assert once_led(lambda: answered(empty.pop(0))) == {"a": 4}

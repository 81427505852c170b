"""When a process is started again and when it is given up."""

from hypothesis import given
from hypothesis import strategies as st

from streams.embedded.backoff import FAILURES_ALLOWED, HEALTHY_AFTER, LONGEST_DELAY, STOP_FOR_GOOD, WINDOW, History


def delays(failures: list[tuple[float, float]]) -> list[float | None]:
    """Return the delay after each failure, given as when it happened and how long the process had run."""
    history, found = History(), []
    for now, ran in failures:
        history = history.after_failure(now, ran)
        found.append(history.delay(1))
    return found


def test_delays_double_up_to_a_limit() -> None:
    apart = WINDOW  # far enough that nothing is given up, though it never runs long
    assert delays([(n * apart, 1) for n in range(7)]) == [0.5, 1, 2, 4, 8, 10, 10]


def test_a_healthy_run_starts_the_delays_anew() -> None:
    assert delays([(0, 1), (2, 1), (40, HEALTHY_AFTER), (42, 1)]) == [0.5, 1, 0.5, 1]


def test_it_is_given_up_after_many_failures_in_a_short_time() -> None:
    found = delays([(n, 1) for n in range(FAILURES_ALLOWED)])
    assert found[-1] is None
    assert None not in found[:-1]


def test_old_failures_are_forgotten() -> None:
    spread = WINDOW / (FAILURES_ALLOWED - 1) + 1
    assert None not in delays([(n * spread, HEALTHY_AFTER) for n in range(50)])


def test_a_worker_that_asks_for_it_stays_stopped() -> None:
    assert History().after_failure(0, 100).delay(STOP_FOR_GOOD) is None


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e3))))
def test_no_delay_is_longer_than_the_limit(failures: list[tuple[float, float]]) -> None:
    assert all(delay is None or 0 < delay <= LONGEST_DELAY for delay in delays(sorted(failures)))

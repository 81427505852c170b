"""Faust's consumer thread over aiokafka: group membership, heartbeats and fetching, all read_committed."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn, cast

from aiokafka.errors import TopicAuthorizationFailedError
from faust.transport.drivers import aiokafka as driver

from streams.transport.guards import STOP, leave

FETCH_WAIT_MS = 250  # Faust has 1,500: the first fetch after a recovery would wait that long

FETCH_PAUSE_S = 0.03
"""A fetch names every partition and ends at the first record: without a pause each record that comes costs one."""

LEAVE_LIMIT_S = 2.0


class Fetched(dict[Any, Any]):
    """Records by partition, and how far each position moved: control records move it too."""

    moved: Mapping[Any, tuple[int, int]] = {}


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Knows when the group last heard of this worker, and as whom."""

    alive = 0.0
    """When the last answered heartbeat was sent, monotonic seconds."""

    member = (-1, "")
    """Generation and member id of the present assignment."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def on_start(self) -> None:
        """Connect, and note each answered heartbeat."""
        await super().on_start()
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator
        heartbeat = coordinator._do_heartbeat
        tasks = coordinator._client._sync_task, consumer._fetcher._fetch_task

        async def noted() -> Any:
            sent = time.monotonic()
            cast(Any, self.consumer).committer.check_handler()  # this thread goes on while the main one is in a handler
            for task in tasks:
                if task.done() and not task.cancelled():  # nobody else would notice
                    leave(f"a task of aiokafka ended: {task.exception()!r}")
            if hidden := coordinator._client.cluster.unauthorized_topics:  # Faust would go on without them
                _leave_without(min(hidden))
            answered = await heartbeat()
            if answered:
                self.alive = sent
            return answered

        coordinator._do_heartbeat = noted
        consumer._fetcher._proc_fetch_request = _paced(consumer._fetcher._proc_fetch_request)

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """Keep who we are: aiokafka resets its own copy as soon as it is thrown out of the group."""
        self.alive = time.monotonic()
        self.member = generation_id, self._ensure_consumer()._coordinator.member_id
        await super().on_partitions_assigned(assigned, generation_id)

    def leave_group(self) -> None:
        """Give the partitions back at once, from another thread; else they would wait for the session's end."""
        leaving = asyncio.run_coroutine_threadsafe(
            self._ensure_consumer()._coordinator._maybe_leave_group(), self.thread_loop
        )
        with suppress(Exception):  # a courtesy: the process ends either way
            leaving.result(LEAVE_LIMIT_S)

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: Any = None, max_records: Any = None
    ) -> Any:
        assignment, before = _positions(consumer, active_partitions)
        try:
            records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        except TopicAuthorizationFailedError as error:
            _leave_without(error.args[0])
        now, after = _positions(consumer, active_partitions)
        if assignment is None or now is not assignment:
            return {}  # rebalanced meanwhile: read again by the new owner
        fetched = Fetched(records)
        fetched.moved = {tp: (before[tp], position) for tp, position in after.items() if tp in before}
        return fetched


def _paced(fetch: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return aiokafka's fetch, begun no sooner than `FETCH_PAUSE_S` after the one before.

    One that is cancelled in its pause brings nothing, as one that is cancelled in its request: aiokafka waits for it to
    end while it closes, and an exception would leave the consumer's thread half stopped, and the worker with it.
    """
    last = 0.0

    async def paced(*args: Any) -> Any:
        nonlocal last
        try:
            await asyncio.sleep(max(0.0, last + FETCH_PAUSE_S - time.monotonic()))
        except asyncio.CancelledError:
            return False
        last = time.monotonic()
        return await fetch(*args)

    return paced


def _leave_without(topic: object) -> NoReturn:
    leave(f"Kafka refuses topic {topic}: grant the right to it by the table in docs/security.md", STOP)


def _positions(consumer: Any, partitions: Any) -> tuple[Any, dict[Any, int]]:
    """Return the assignment, None without one, and the valid positions of `partitions`."""
    subscription = consumer._subscription.subscription
    assignment = subscription and subscription.assignment
    if not assignment:
        return None, {}
    states = ((tp, assignment.state_value(tp)) for tp in partitions or () if tp in assignment.tps)
    return assignment, {tp: state.position for tp, state in states if state.has_valid_position}

"""When and how the finished batches are committed.

Handlers are synchronous, so whatever the event loop runs, it runs at a border between two batches. A commit:

1. lets no batch begin;
2. takes the positions of the finished prefix of each partition, and closes the table's overlay;
3. sends the positions to the transaction, with the generation and member id of the assignment: a worker that lost its
   partitions is refused here;
4. commits the transaction: outputs, changelog, dead letters and positions become visible together;
5. begins the next transaction;
6. moves the overlay's rows to the local store, with the changelog offset they reach;
7. lets batches begin.

A crash before the coordinator took step 4 leaves nothing visible: the batches are handled again. A crash between 4
and 6 leaves the local store behind its changelog: the recovery reads the rest. An error of a transaction, and a
handler that does not end, ends the process.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from streams import metrics
from streams.transport.guards import leave
from streams.transport.positions import Delivery, Positions
from streams.transport.producer import COMMIT_LIMIT_S, GRACE_S, Producer
from streams.transport.table import BatchTable

COMMIT_INTERVAL_S = 0.25
"""Under load a commit follows the last one after this time."""

IDLE_COMMIT_S = 0.05
"""With nothing in flight it may follow after this time. Each commit costs the broker a marker in every partition that
was written to: with 0.02 s that took so much of a small machine that facts came later, not sooner."""

HANDLER_LIMIT_S = 9.0
"""Longest a handler may take for a batch; below the transaction's time limit."""

STALL_LIMIT_S = 30.0
"""A batch that was delivered and is not worked on for so long: something is broken."""

log = logging.getLogger("labelloop.transport")


class Committer:
    """Commits; the consumer tells it what was delivered and what was handled.

    Args:
        name: The processor, for metrics.
        group: The consumer group.
        positions: What may be committed.
        member: Returns generation and member id as of the present assignment.
    """

    def __init__(self, name: str, group: str, positions: Positions, member: Callable[[], tuple[int, str]]) -> None:
        self._name, self._group, self._positions, self._member = name, group, positions, member
        self.free = asyncio.Event()
        """Cleared while a transaction commits: no batch begins."""
        self.free.set()
        self._idle = asyncio.Event()
        self._lock = asyncio.Lock()
        self._executor = ThreadPoolExecutor(1, "transaction")
        self._began = 0.0  # the last commit, monotonic seconds
        self._handler_since: float | None = None
        self._progress = 0.0  # when a handler ended last

    def delivered(self) -> None:
        """Note that a batch is on its way."""
        self._idle.clear()

    def settled(self) -> None:
        """Note that the positions moved: with nothing in flight they may be committed at once.

        If a commit is overdue, no batch begins before it: the event loop may come to it only after all the batches that
        are ready, and where each of them takes long the transaction would outlast its limit.
        """
        overdue = time.monotonic() - self._began > COMMIT_INTERVAL_S
        if overdue:
            self.free.clear()
        if overdue or not self._positions.in_flight():
            self._idle.set()

    async def pause(self, last: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Wait until the next commit is due; `last` is when the last one began, monotonic seconds."""
        await sleep(max(0.0, last + IDLE_COMMIT_S - time.monotonic()))
        if not self._idle.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), max(0.001, last + COMMIT_INTERVAL_S - time.monotonic()))

    def rest(self) -> None:
        """Wait for the next batch before the next commit, if all is committed."""
        if not self._positions.in_flight() and not self._positions.has_pending():
            self._idle.clear()

    async def commit(self, producer: Producer, tables: Sequence[BatchTable]) -> bool:
        """Commit what is finished; return whether there was anything."""
        async with self._lock:
            self._check_stalled()
            offsets, started = self._positions.pending(), time.monotonic()
            self._began = started
            if not offsets:
                self.free.set()
                return False
            self.free.clear()
            for table in tables:
                table.overlay.seal()
            committing = asyncio.get_running_loop().run_in_executor(
                self._executor, producer.commit, offsets, self._group, self._member()
            )
            try:
                changelog = await asyncio.wait_for(committing, COMMIT_LIMIT_S + GRACE_S)
            except TimeoutError:
                leave(f"a commit does not end within {COMMIT_LIMIT_S + GRACE_S:.0f} s")
            except Exception as error:
                leave(f"the transaction was refused: {error!r}")
            for table in tables:
                table.apply(changelog)
            self._positions.commit(offsets)
            if self._positions.in_flight():
                self._idle.clear()
            self.free.set()
            metrics.COMMIT_SECONDS.labels(self._name).observe(time.monotonic() - started)
            return True

    def note_bug(self, delivery: Delivery, producer: Producer) -> None:
        """Drop the open transaction and note in the unmoved position's metadata where the handler failed."""
        tp = delivery.tp
        note = {tp: (self._positions.committed(tp), self._positions.suspect(delivery).dump())}
        try:
            producer.note(note, self._group, self._member())
        except Exception:
            log.exception("the failing range could not be noted: it will be met again as a whole")

    def handler_begins(self) -> None:
        """Note that a handler was entered, or whatever else makes the event loop wait."""
        self._handler_since = time.monotonic()

    def handler_ended(self) -> float:
        """Note that it was left; return how long it took, seconds."""
        since, now = self._handler_since, time.monotonic()
        self._handler_since, self._progress = None, now
        return 0.0 if since is None else now - since

    def check_handler(self) -> None:
        """Leave if a handler does not end; the heartbeats' thread asks, as the loop is inside it."""
        since = self._handler_since
        if since is not None and time.monotonic() - since > HANDLER_LIMIT_S:
            leave(f"a handler does not end: more than {HANDLER_LIMIT_S:.0f} s for one batch")

    def _check_stalled(self) -> None:
        oldest = self._positions.oldest()
        if oldest is not None and time.monotonic() - max(oldest, self._progress) > STALL_LIMIT_S:
            leave("a batch was delivered and never handled")

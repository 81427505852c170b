"""Delivery of batches, rebalances and recovery, in Faust's consumer.

One Faust message is one run of records of one partition. Faust's acknowledgements are ignored: a batch counts as done
when its effects are in the open transaction. When that is committed is `commit`'s business.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, cast

from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service

from streams.transport import pace
from streams.transport.base import BatchApp
from streams.transport.batch import Batch, Record
from streams.transport.commit import Committer
from streams.transport.fetcher import ConsumerThread, Fetched
from streams.transport.guards import RESTART, STOP, StartLimit, leave
from streams.transport.positions import Delivery, Partition, Positions
from streams.transport.producer import Producer
from streams.transport.recovery import STABLE_LIMIT_S, Committed, log_ends, stable_offsets
from streams.transport.table import BatchTable

MAX_IN_FLIGHT = 6
"""Batches handed over and not finished."""

START_LIMIT_S = STABLE_LIMIT_S + 15.0
"""Longest that a start may stand still; a wait for stable offsets has a limit of its own, and comes first."""

log = logging.getLogger("labelloop.transport")


class Consumer(driver.Consumer):
    """Faust's consumer, in batches and transactions."""

    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.positions = Positions()
        self._pace = pace.Pace(pace.BATCH_RECORDS)
        self.committer = Committer(
            cast(BatchApp, self.app).processor, self.app.conf.id, self.positions, lambda: self._thread.member
        )
        self._accept = False  # no batch may begin between a revoke and the next seek
        self._stable: tuple[int, Committed] | None = None  # generation, offsets taken before the changelogs' ends
        self._recovered = False  # the tables have reached the changelogs' ends
        self._room = asyncio.Event()
        self._start = StartLimit(START_LIMIT_S)

    @property
    def _tables(self) -> Sequence[BatchTable]:
        return cast(Sequence[BatchTable], list(self.app.tables.values()))

    @property
    def _producer(self) -> Producer:
        return cast(Producer, self.app.producer)

    @property
    def _recovery(self) -> Any:
        return self.app.tables.recovery  # type: ignore[attr-defined]

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # Delivery

    async def _drain_messages(self, fetcher: Any) -> None:
        def stop() -> bool:
            return self._stopped.is_set() or fetcher._stopped.is_set()

        try:
            while not stop():
                await self._wait_for_room(stop)
                if self._recovered:  # again and again: the recovery's own task clears it now and then
                    self._recovery.signal_recovery_end.set()
                fetched, active = await self._wait_next_records(0.1 if self.app.rebalancing else 1.0)
                await asyncio.sleep(0)
                if not isinstance(fetched, Fetched) or stop() or not self.flow_active:
                    continue  # what is dropped here is read again: perform_seek rewinds, or the gap check does
                generation = self.app.consumer_generation_id
                await self._deliver(await self._cut(fetched, active), generation, stop)
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    async def _getmany(self, active_partitions: Any, timeout: float) -> Any:
        # Stock Faust resumes the source partitions before it seeks and before it empties the agents' queues: what is
        # fetched in between would be lost. So changelogs only, until the rebalance is over.
        if self.app.rebalancing and active_partitions is not None:
            active_partitions = {tp for tp in active_partitions if self._is_changelog_tp(tp)}
            if not active_partitions:
                await asyncio.sleep(0.02)
                return {}
        # a copy: Faust changes its set while the consumer's thread reads it
        return await super()._getmany(active_partitions and set(active_partitions), timeout)

    async def _wait_for_room(self, stop: Callable[[], bool]) -> None:
        while self.positions.in_flight() >= MAX_IN_FLIGHT and not stop():
            self._room.clear()
            try:
                await asyncio.wait_for(self._room.wait(), 1.0)
            except TimeoutError:
                continue

    async def _cut(self, fetched: Fetched, active: Any) -> list[Iterator[Delivery]]:
        """Return the fetched source records as batches of each partition; apply changelog records."""
        runs = []
        latest = {} if self.app.rebalancing else horizons(fetched)  # during a rebalance there are changelogs alone
        for aiokafka_tp, (before, after) in fetched.moved.items():
            faust_tp, records = ensure_TP(aiokafka_tp), fetched.get(aiokafka_tp) or ()
            if faust_tp not in active:
                continue
            if self._is_changelog_tp(faust_tp):
                await self._apply_changelog(faust_tp, records, before, after)
                continue
            tp = Partition(*faust_tp)
            # checked also when nothing moved: what was dropped may have been the last
            if not await self._contiguous(faust_tp, before, self.positions.expected(tp)):
                continue
            if records:
                runs.append(self._batches(tp, records, after, latest.get(tp.topic, -1)))
            elif after != before:
                self.positions.advance(tp, after)
                self.committer.settled()
        return runs

    def _batches(self, tp: Partition, records: Sequence[Any], after: int, horizon: int) -> Iterator[Delivery]:
        """Yield batches, each cut when it is its turn: by then it is known how long the ones before took."""
        for start, stop, alone in self.positions.cut(tp, records, self._pace.records):
            part = records[start:stop]
            end = after if stop == len(records) else records[stop].offset
            yield Delivery(tp, Batch(*tp, part, part[0].offset, end, horizon=horizon), alone)

    async def _contiguous(self, tp: TP, before: int, expected: int | None) -> bool:
        """Return False if something between `expected` and `before` was fetched and dropped: it is read again."""
        if expected is None or before == expected or (before < expected and self._is_changelog_tp(tp)):
            return True
        aiokafka_tp = driver.ensure_aiokafka_TP(tp)
        if before > expected and (await self._thread.earliest_offsets(aiokafka_tp))[aiokafka_tp] > expected:
            return True  # the log begins later
        log.warning("gap in %s-%s: expected %s, got %s; reading again", *tp, expected, before)
        await self._thread.seek_wait({aiokafka_tp: expected})  # in its thread: aiokafka is not thread-safe
        return False

    async def _deliver(self, runs: list[Iterator[Delivery]], generation: int, stop: Callable[[], bool]) -> None:
        """Hand over the batches, one of each partition in turn."""
        while runs:
            for run in list(runs):
                await self._wait_for_room(stop)
                stale = self.app.rebalancing or generation != self.app.consumer_generation_id
                if stop() or not self.flow_active or stale:
                    return  # perform_seek rewinds, or else the gap check does
                delivery = next(run, None)
                if delivery is None:
                    runs.remove(run)
                    continue
                delivery.at = time.monotonic()
                self.positions.deliver(delivery)
                self.committer.delivered()
                last, tp = delivery.batch.records[-1], TP(*delivery.tp)
                message = ConsumerMessage(
                    tp.topic,
                    tp.partition,
                    last.offset,
                    last.timestamp / 1000.0,
                    0,
                    None,
                    None,
                    delivery,  # type: ignore[arg-type]
                    None,
                    0,
                    0,
                    tp,
                    generation_id=generation,
                )
                await self.wait_first(self.callback(message), self.suspend_flow.wait())

    def ack(self, message: Any) -> bool:
        """Take Faust's acknowledgement, which decides nothing here."""
        message.acked = True
        self._unacked_messages.discard(message)
        return True

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Do nothing: the stall guard watches batches instead."""

    # Recovery

    async def highwaters(self, *tps: Any) -> Any:
        """Return the changelogs' ends, taken after the committed offsets have become stable."""
        recovery, self._recovered, started = self._recovery, False, time.monotonic()
        recovery.signal_recovery_end.clear()  # of an earlier recovery: else this one ends unread
        generation, source = self.app.consumer_generation_id, self._source()
        committed = await self._stable_offsets(source)
        self._start.step(time.monotonic())
        self._stable = generation, committed
        partitions = [Partition(*tp) for tp in tps]
        ends = await self._in_thread(log_ends, cast(BatchApp, self.app).surroundings, [*partitions, *source])
        for tp in partitions:
            # the table alone knows what is in it: Faust would read all again that was written since its last recovery
            offset = recovery.tp_to_table[TP(*tp)].persisted_offset(TP(*tp))
            recovery.active_offsets[TP(*tp)] = offset
            self._check_end(tp, None if offset is None else offset + 1, ends[tp])
        stateless = {tp.partition for tp in partitions if ends[tp] == 0}
        for tp in source:
            self._check_end(tp, committed[tp][0], ends[tp])
            if committed[tp][0] and tp.partition in stateless:
                log.warning(
                    "%s-%s is passed up to %s, but the changelog has no rows of that partition: if it was deleted, "
                    "delete the group's offsets too, so that the state is built again",
                    *tp,
                    committed[tp][0],
                )
        log.info(
            "%d partitions assigned, generation %s, known after %.1f s",
            len(source),
            generation,
            time.monotonic() - started,
        )
        return {TP(*tp): ends[tp] for tp in partitions}

    def _check_end(self, tp: Partition, position: int | None, end: int) -> None:
        if position is not None and position > end:
            leave(
                f"{tp.topic}-{tp.partition} ends at {end}, but {self.app.conf.id} has come to {position}: the topic is "
                f"another one. Delete {self.app.conf.datadir} and the group's offsets, or restore the topic",
                STOP,
            )

    async def _apply_changelog(self, tp: TP, records: Sequence[Any], before: int, after: int) -> None:
        """Restore rows in bulk; `after` counts, not the last record: control records take offsets too."""
        recovery = self._recovery
        if tp not in recovery.active_tps:
            return
        known = recovery.active_offsets.get(tp)
        seen = -1 if known is None else known
        if not await self._contiguous(tp, before, seen + 1):
            return
        offset = max(after - 1, seen)
        rows = {
            r.key: (None, r.value) for r in records if r.offset > seen and r.value is not None
        }  # the last one counts
        recovery.tp_to_table[tp].overlay.store.write(tp.partition, rows, offset)
        recovery.active_offsets[tp] = offset
        self._start.step(time.monotonic())
        if recovery.in_recovery and not recovery.need_recovery():
            recovery.flush_buffers()
            recovery._set_recovery_ended()
            self._recovered = True

    async def perform_seek(self) -> None:
        """Start each source partition at its stable committed offset, else at the log's beginning."""
        self._forget()
        source = self._source()
        generation, committed = self._stable or (None, {})
        if generation != self.app.consumer_generation_id or {*source} - {*committed}:
            committed = await self._stable_offsets(source)
        for tp in source:
            position, suspect = committed[tp]
            aiokafka_tp = driver.ensure_aiokafka_TP(TP(*tp))
            if position is None:
                # stock Faust leaves the position where the prefetch was when nothing was committed yet
                await self._thread.seek_to_beginning(aiokafka_tp)
                position = await self._thread.position(aiokafka_tp) or 0
            else:
                await self._thread.seek_wait({aiokafka_tp: position})
            if suspect is not None:
                log.warning("%s-%s: the records from %s to %s are handled one by one", *tp, *suspect)
            self.positions.start(tp, position, suspect)
        self._accept = True
        self._start.done()
        log.info("ready, %d partitions", len(source))
        owns = cast(BatchApp, self.app).owns
        if owns is not None:
            owns({tp.partition for tp in source})

    # The handler's side

    def begin(self, delivery: Delivery) -> bool:
        """Return whether a batch is to be handled; False: it came before a rebalance and will be read again."""
        if not self._accept or not self.positions.knows(delivery):
            return False
        self.check_alive()
        self.committer.handler_begins()
        return True

    def check_alive(self) -> None:
        """Spare a frozen worker useless work; what protects the data is the broker's fence."""
        if time.monotonic() - self._thread.alive > 0.9 * self.app.conf.broker_session_timeout:
            leave("no heartbeat for a session: another worker may own the partitions")

    def end(self, delivery: Delivery) -> None:
        """Note that the effects of a batch are in the open transaction."""
        self._pace.learn(len(delivery.batch), self.committer.handler_ended())
        self.positions.finish(delivery.tp)
        self.committer.settled()
        self._room.set()
        self._producer.poll()

    def fail(self, delivery: Delivery) -> NoReturn:
        """Leave after a bug: nothing of the transaction, but a note where it happened."""
        self.committer.handler_begins()  # its time limit holds for the calls below too
        self.committer.note_bug(delivery, self._producer)
        self._thread.leave_group()
        leave(f"the handler failed in {delivery.tp.topic}-{delivery.tp.partition} from offset {delivery.batch.first}")

    def give_up(self, why: str, status: int = RESTART) -> NoReturn:
        """Drop the open transaction, so that it holds nobody back, and leave."""
        self.committer.handler_begins()  # its time limit holds for the calls below too
        self._producer.abort()
        self._thread.leave_group()
        leave(why, status)

    # Commit

    @Service.task
    async def _commit_handler(self) -> None:
        while not self.should_stop:
            began = time.monotonic()
            if self._start.is_over(began):
                leave(f"partitions were assigned, but are not ready and come no nearer in {START_LIMIT_S:.0f} s")
            await self.commit()
            self.committer.rest()
            await self.committer.pause(began, self.sleep)

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what is finished; return whether there was anything."""
        return await self.committer.commit(self._producer, self._tables)

    # Rebalance and stop

    async def wait_empty(self) -> None:
        """Commit what is finished; no further batch begins."""
        self._accept = False
        while await self.commit():
            pass

    commit_and_end_transactions = wait_empty

    async def on_partitions_assigned(self, assigned: Any, generation_id: int = 0) -> None:
        """Let Faust begin the recovery, and watch that it gets on."""
        if assigned:
            self._start.step(time.monotonic())
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Stop the flow, commit, and only then forget what was in flight."""
        self._accept = False
        self._start.done()
        self._active_partitions.difference_update(revoked)
        self._paused_partitions.difference_update(revoked)
        await self._on_partitions_revoked(revoked)
        self._forget()

    def _forget(self) -> None:
        if any(table.overlay.dirty() for table in self._tables):
            leave("something is left that was not committed")
        self.positions.forget()
        for stock in (self._committed_offset, self._read_offset):
            stock.clear()
        self._room.set()

    def _source(self) -> list[Partition]:
        return [Partition(*tp) for tp in self.assignment() if not self._is_changelog_tp(tp)]

    async def _stable_offsets(self, source: list[Partition]) -> Committed:
        found: Committed = await self._in_thread(
            stable_offsets, cast(BatchApp, self.app).surroundings, self.app.conf.id, source
        )
        return found

    async def _in_thread(self, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, call, *args)


def horizons(fetched: Mapping[Any, Sequence[Record]]) -> dict[str, int]:
    """Return the latest timestamp of each topic's records, ms; by partition come in, by topic go out."""
    found: dict[str, int] = {}
    for tp, records in fetched.items():
        latest = max((record.timestamp for record in records), default=-1)
        found[tp.topic] = max(latest, found.get(tp.topic, -1))
    return found

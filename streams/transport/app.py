"""A Faust app around one handler: several co-partitioned source topics, one state table, one agent."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, cast

import faust
from confluent_kafka import KafkaException
from mode.supervisors import CrashingSupervisor

from streams import tls
from streams.catalogue import ACTIONS
from streams.clients import MAX_MESSAGE_BYTES
from streams.errors import LabelloopError, NotNow
from streams.settings import KafkaLogin, Settings
from streams.transport import driver  # noqa: F401 - registers batch://
from streams.transport.base import BatchApp
from streams.transport.batch import Handler
from streams.transport.consumer import Consumer
from streams.transport.guards import STOP, TOO_MANY, TooManyBugs, leave
from streams.transport.positions import Delivery
from streams.transport.producer import Producer
from streams.transport.runner import Runner
from streams.transport.table import BatchTable

SESSION_TIMEOUT_S = 10.0
"""How long a silent worker keeps its partitions: also how long a restarted one waits after `kill -9`."""

METADATA_MAX_AGE_MS = 5_000
"""How long a group's leader that met a broker in its start may know of no topic: that long nobody reads anything."""

log = logging.getLogger("labelloop.transport")


class _BatchSchema(faust.Schema[Any, Any]):
    """The value is a delivery already: nothing to decode."""

    def loads_key(self, app: Any, message: Any, **kwargs: Any) -> None:
        return None

    def loads_value(self, app: Any, message: Any, **kwargs: Any) -> Any:
        return message.value


def create_app(
    settings: Settings,
    name: str,
    sources: Sequence[str],
    handler: Handler,
    *,
    slot: int,
    table: str = "state",
    owns: Callable[[Collection[int]], None] | None = None,
    session_timeout_s: float = SESSION_TIMEOUT_S,
) -> faust.App:
    """Return the app that feeds `handler` and writes its effects.

    Args:
        settings: Where the servers are.
        name: The processor: its group is `<prefix>.<name>`, its changelog `<prefix>.<name>-<table>-changelog`.
        sources: Catalogue names of the source topics, all with the same partition count.
        handler: Turns a batch into effects.
        slot: Place among the workers: a restart in the same slot fences what its predecessor left open.
        table: Name of the state table.
        owns: Told after each rebalance which partitions are this worker's.
        session_timeout_s: Seconds of silence after which the group gives the partitions to others.
    """
    datadir = settings.home / "state" / f"{settings.prefix}.{name}-{slot}"
    datadir.mkdir(parents=True, exist_ok=True)
    app = BatchApp(
        settings.topic(name),
        broker=f"batch://{settings.kafka.replace(',', ';batch://')}",
        broker_credentials=_credentials(settings.login),
        store="memory://" if settings.store == "memory" else "rocksdb://",
        datadir=str(datadir),
        Table=BatchTable,
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        topic_disable_leader=True,
        topic_allow_declare=False,
        table_standby_replicas=0,
        web_enabled=False,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        worker_redirect_stdouts=False,
        broker_session_timeout=session_timeout_s,
        broker_heartbeat_interval=session_timeout_s / 5,
        consumer_max_fetch_size=MAX_MESSAGE_BYTES,
        consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
        consumer_auto_offset_reset="earliest",
    )
    app.surroundings, app.owns = settings, owns
    app.processor, app.transactional_id = name, f"{settings.topic(name)}-{slot}"
    app.needed_topics = (*sources, f"{name}-{table}-changelog", "dead-letters")
    source = app.topic(*map(settings.topic, sources), schema=_BatchSchema(), partitions=settings.partitions)
    state = cast(BatchTable, app.Table(table, partitions=settings.partitions, key_type=bytes))
    runner = Runner(name, handler, state, settings.topic("dead-letters"), settings.topic(ACTIONS))

    async def handle(stream: Any) -> None:
        async for delivery in stream:
            await asyncio.sleep(0)  # or else the queue is emptied before the commit timer gets its turn
            consumer = cast(Consumer, app.consumer)
            await consumer.committer.free.wait()
            if consumer.begin(delivery):
                _handle(runner, consumer, cast(Producer, app.producer), delivery)

    app.agent(source, name=name, supervisor_strategy=CrashingSupervisor)(handle)
    return app


def _credentials(login: KafkaLogin) -> faust.SSLCredentials | faust.SASLCredentials | None:
    """Return as whom the consumer beneath Faust comes; what it asks of the broker is asked by all other clients too."""
    if login.ca is None:
        return None
    if not login.user:
        return faust.SSLCredentials(tls.context(login.ca))
    return faust.SASLCredentials(
        username=login.user,
        password=login.password(),
        mechanism=login.mechanism,
        ssl_context=tls.context(login.ca),
    )


def _handle(runner: Runner, consumer: Consumer, producer: Producer, delivery: Delivery) -> None:
    """Handle one batch; without a pause for the event loop, so that no commit falls into it."""
    try:
        prepared = runner.prepare(delivery)
    except NotNow as error:
        consumer.give_up(f"a server is away: {error}")
    except MemoryError:
        consumer.give_up("out of memory")
    except LabelloopError as error:
        consumer.give_up(str(error), STOP)
    except TooManyBugs:
        consumer.give_up(TOO_MANY, STOP)
    except Exception:
        batch = delivery.batch
        log.exception("%s-%s, a batch from %s to %s", batch.topic, batch.partition, batch.first, batch.end)
        consumer.fail(delivery)
    consumer.check_alive()  # the handler may have been frozen for long
    try:
        runner.write(delivery, prepared, producer)
    except KafkaException as error:
        leave(f"the transaction takes no record: {error.args[0].str()}")
    consumer.end(delivery)

"""Who of the stack runs, as its consumer groups tell."""

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from streams.clients import CLIENT_LOG, kafka
from streams.errors import LabelloopError
from streams.query.lag import SOURCES
from streams.settings import Settings

_LIMIT_S = 30.0
_IDLE = (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD)


def running(settings: Settings) -> list[str]:
    """Return the consumer groups of the stack that somebody is in, without the prefix.

    A worker that was killed counts for some 10 s more.

    Raises:
        LabelloopError: Kafka does not answer.
    """
    admin = AdminClient(kafka(settings), logger=CLIENT_LOG)
    try:
        listed = admin.list_consumer_groups(request_timeout=_LIMIT_S).result()
    except KafkaException as error:
        raise LabelloopError(f"Kafka at {settings.kafka} does not tell who runs: {error.args[0].str()}") from error
    busy = {group.group_id for group in listed.valid if group.state not in _IDLE}
    return [group for group in SOURCES if settings.topic(group) in busy]

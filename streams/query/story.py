"""Reads the story of one item from the log: of each topic only the partition that the item lies in."""

from streams.errors import LabelloopError
from streams.keys import item_key, partition_of
from streams.processors.story import SOURCES, Read, Step, story
from streams.query.lag import LagReader
from streams.query.log import Tell, reader, records
from streams.query.projects import read_projects
from streams.settings import Settings


def read_story(settings: Settings, project: str, item_id: str, tell: Tell = lambda passed, of: None) -> list[Step]:
    """Return what happened to an item, in log order.

    Args:
        settings: Where Kafka is.
        project: The item's project.
        item_id: The item.
        tell: Told of the progress.

    Raises:
        LabelloopError: nothing ever happened to it, or Kafka does not answer.
    """
    home = partition_of(item_key(project, item_id), settings.partitions)
    with LagReader(settings) as lag:
        ends = lag.settled_offsets(SOURCES)
    ranges = {at: range(end) for at, end in ends.items() if at[1] == home}
    found = []
    with reader(settings) as consumer:
        for topic, message in records(consumer, settings, ranges, tell):
            _, log_time = message.timestamp()
            place = message.partition() or 0, message.offset() or 0
            found.append(Read(topic, *place, log_time, message.key(), message.value()))
    # read last: the settings that a fact was judged by are there whenever the fact is
    steps = story(project, item_id, found, read_projects(settings), settings.partitions)
    if not steps:
        raise LabelloopError(f"no item {item_id!r} in {project!r}: the log says nothing of it")
    return steps

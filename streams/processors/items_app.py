"""The Faust app "items": facts in, review queue and statistics out. All that is decided is decided in `items`."""

import faust

from streams.catalogue import ITEM_FACTS
from streams.processors.items import CONSUMER, Items
from streams.projects import Projects
from streams.settings import Settings
from streams.transport.app import create_app
from streams.transport.batch import Batch, Effects, Rows
from streams.transport.broadcast import Broadcast


def create(settings: Settings, slot: int) -> faust.App:
    """Return the app of one worker; `slot` names its place among the workers."""
    projects = Projects()
    broadcast = Broadcast(settings.kafka, settings.topic("projects"), projects.learn)
    items = Items(settings.prefix, settings.partitions, projects)

    def handle(batch: Batch, rows: Rows) -> Effects:
        broadcast.read_until(max(record.timestamp for record in batch.records))
        return items.handle(batch, rows)

    return create_app(settings, CONSUMER, ITEM_FACTS, handle, slot=slot)

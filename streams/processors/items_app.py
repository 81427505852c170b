"""The Faust app "items": facts in, review queue and statistics out. All that is decided is decided in `items`."""

import time

import faust

from streams.catalogue import ACTIONS, ITEM_FACTS
from streams.processors.fits import Skills
from streams.processors.items import CONSUMER, FitMissing, Items
from streams.processors.rescoring import begins
from streams.projects import Projects
from streams.settings import Settings
from streams.transport.app import create_app
from streams.transport.batch import Batch, Effects, Rows
from streams.transport.broadcast import Broadcast

_FIT_LIMIT_S = 5.0


def create(settings: Settings, slot: int) -> faust.App:
    """Return the app of one worker; `slot` names its place among the workers."""
    projects, rescores = Projects(), settings.topic("rescores")
    broadcast = Broadcast(settings, settings.topic("projects"), projects.learn)
    skills = Skills()
    fits = Broadcast(settings, settings.topic("annotators"), skills.learn)
    items = Items(settings.prefix, settings.partitions, projects, skills)

    def handle(batch: Batch, rows: Rows) -> Effects:
        if batch.topic == rescores:
            if begins(batch) or not broadcast.position:  # a slice is scored by what its order's first one was
                broadcast.read_to_end()
        elif batch.redriven:  # what counts is not the time of the records
            broadcast.read_to_end()
        else:
            # for all that was fetched with it too, so that not every batch has to ask the broker
            broadcast.read_until(max(batch.horizon, *(record.timestamp for record in batch.records)))
        fits.catch_up()
        limit = time.monotonic() + _FIT_LIMIT_S
        while True:
            try:
                return items.handle(batch, rows)
            except FitMissing:  # its transaction is decided, but the mark of that has not come to every partition
                if time.monotonic() > limit:
                    raise
                time.sleep(0.01)
                fits.catch_up()

    return create_app(settings, CONSUMER, (*ITEM_FACTS, "rescores", ACTIONS), handle, slot=slot)

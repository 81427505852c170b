"""What the parts of the transport know of the app they work for."""

from collections.abc import Callable, Collection

import faust

from streams.settings import Settings


class BatchApp(faust.App):
    """A Faust app that knows which worker it is."""

    surroundings: Settings
    """Where the servers are."""

    processor: str = ""
    """Name of the processor, as metrics and dead letters have it."""

    transactional_id: str = ""
    """Name of this worker's transactions: a restart in the same slot fences what its predecessor left open."""

    needed_topics: tuple[str, ...] = ()
    """Catalogue names of the topics that must exist before the start."""

    owns: Callable[[Collection[int]], None] | None = None
    """Told after each rebalance which partitions are this worker's."""

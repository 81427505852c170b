"""How often Python looks for cycles of garbage."""

import gc


def collect_seldom() -> None:
    """Look through what was allocated after 200,000 objects instead of 700, and through all of it as much more seldom.

    Records, rows and effects have no cycles and go when nobody holds them, but by the default the collector walks
    through them, and again and again through the whole state: a label took a third more CPU with 100,000 items than
    with 10,000 (`make bench-growth`). What came before, the imported modules, is not looked through again.
    """
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)

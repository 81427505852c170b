"""What a fit tells of classes and annotators beside the posterior: it says which items are worth more to review."""

from collections.abc import Collection

from streams.quality.fitted import CONFUSION, ONE_COIN, Fitted

LEAST_COUNT = 3.0
"""Expected labels from which a confusion of two classes recurs."""

FREQUENT = 2.0
"""How many times as often as the mean confusion that occurs it must have happened."""

RARE = 0.25
"""Share of what an even spread of the classes would give, below which a class is rare."""

NEW_LABELS = 10
"""Labels that an annotator must have given to be new no more."""

_OCCURS = 0.5  # expected labels: a confusion that is likelier not to have happened does not count for the mean


class Signals:
    """Facts of one fit: a pure function of it.

    Args:
        fitted: What the fit has learnt.
        drifting: Annotators who are less accurate than they were.
    """

    def __init__(self, fitted: Fitted, drifting: Collection[str] = ()) -> None:
        self._drifting = frozenset(drifting)
        self._known = {name for name, known in fitted.annotators.items() if known.given >= NEW_LABELS - 1e-6}
        names = fitted.classes
        errors = {cell: count for cell, count in fitted.pooled.cells.items() if cell[0] != cell[1] and count >= _OCCURS}
        bound = max(LEAST_COUNT, FREQUENT * sum(errors.values()) / max(1, len(errors)))
        self._confused = {(names[truth], names[said]) for (truth, said), count in errors.items() if count >= bound}
        shares = zip(names, fitted.priors[CONFUSION], fitted.priors[ONE_COIN], strict=True)
        weight, least = fitted.weights[CONFUSION], RARE / max(1, len(names))
        self._common = {name for name, one, other in shares if weight * one + (1 - weight) * other >= least}

    def is_frequent_mistake(self, shown: str, rival: str) -> bool:
        """Return whether `shown` was often said where `rival` was right, by all annotators together.

        In a project of two classes no confusion is more frequent than the others: there are no others.
        """
        return (rival, shown) in self._confused

    def is_rare(self, label: str) -> bool:
        """Return whether a class is the truth of few items, or nobody had used it."""
        return label not in self._common

    def is_new(self, annotator: str) -> bool:
        """Return whether an annotator had given few labels, or none."""
        return annotator not in self._known

    def is_drifting(self, annotator: str) -> bool:
        """Return whether the alarm went off for an annotator's latest answers."""
        return annotator in self._drifting

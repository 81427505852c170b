"""The trainers of the benchmark: those of the recipes it is compared with, plugged in as a user's own."""

from sklearn.linear_model import LogisticRegression

from streams.errors import LabelloopError

REGULARISATION = {"labelme": 0.01, "sentiment_polarity": 1.0}
"""C of the logistic regression by data set."""

TRAINERS = ("logistic", "lightgbm")


def labelme() -> LogisticRegression:
    return LogisticRegression(C=REGULARISATION["labelme"], max_iter=1000)


def sentiment_polarity() -> LogisticRegression:
    return LogisticRegression(C=REGULARISATION["sentiment_polarity"], max_iter=1000)


def named(trainer: str, data: str) -> str:
    """Return what the worker calls a trainer of one data set.

    Raises:
        LabelloopError: there is none of that name.
    """
    if trainer not in TRAINERS:
        raise LabelloopError(f"no trainer is called {trainer!r}: use {', '.join(TRAINERS)}")
    return trainer if trainer == "lightgbm" else f"{trainer}-{data}"


def given() -> str:
    """Return the worker's `LABELLOOP_TRAINERS`."""
    return ",".join(f"{named('logistic', data)}={__name__}:{data}" for data in REGULARISATION)

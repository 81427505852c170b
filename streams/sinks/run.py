"""Runs one sink process until it is asked to stop."""

import logging

from confluent_kafka import KafkaException

from streams import background, rights
from streams.clients import heed, said
from streams.errors import NotNow
from streams.memory import collect_seldom
from streams.settings import Settings
from streams.sinks.runner import Sink
from streams.transport.guards import STOP, TOO_MANY, TooManyBugs, leave
from streams.transport.topics import builds


def main(settings: Settings) -> None:
    """Run a sink until SIGTERM.

    Raises:
        LabelloopError: something a person has to mend.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    background.step_back()
    collect_seldom()
    try:
        rights.check(settings, "sink")
        Sink(settings, builds(settings)).run()
    except KafkaException as error:
        heed(error, settings)
        leave(f"the sink cannot go on: {said(error, settings)}")
    except NotNow as error:
        leave(f"the sink cannot go on: {error}")
    except TooManyBugs:
        leave(TOO_MANY, STOP)

"""Reads the settings of all projects from their topic."""

from streams.clock import SystemClock
from streams.errors import LabelloopError, NotNow
from streams.projects import Projects
from streams.settings import Settings
from streams.transport.broadcast import Broadcast


def read_projects(settings: Settings) -> Projects:
    """Return the present settings of all projects with their history.

    Raises:
        LabelloopError: the broker does not answer or the topic does not exist.
    """
    projects = Projects()
    reader = Broadcast(settings, settings.topic("projects"), projects.learn)
    try:
        reader.read_until(SystemClock().now_ms())
    except NotNow as error:
        raise LabelloopError(
            f"the projects cannot be read ({error}): see `labelloop status`, or run `labelloop up`"
        ) from error
    finally:
        reader.close()
    return projects

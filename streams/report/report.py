"""The report as a whole: which sections it has, in their order."""

from streams.report import agreement, models, people, queue, structured
from streams.report.numbers import Numbers, Section
from streams.report.page import page


def sections(numbers: Numbers) -> list[Section]:
    """Return all sections: the answers first, then the queue, people, models, and how people agree."""
    return [
        queue.answers(numbers),
        queue.burn_down(numbers),
        queue.errors_found(numbers),
        queue.calibration(numbers),
        people.skill(numbers),
        people.trend(numbers),
        people.drift(numbers),
        people.confusion(numbers),
        people.same_mistakes(numbers),
        models.models(numbers),
        agreement.agreement(numbers),
        structured.structured(numbers),
        queue.reviewers(numbers),
        people.label_time(numbers),
    ]


def report(project: str, made: str, numbers: Numbers) -> str:
    """Return a project's page.

    Args:
        project: Its name.
        made: When the numbers were read, as text.
        numbers: See `shell.QUERIES`; what is not there counts as empty.
    """
    source = f"Read on {made}. The numbers behind each part lie beside this page as CSV."
    return page(f"{project}: label quality", source, queue.headline(numbers), sections(numbers))

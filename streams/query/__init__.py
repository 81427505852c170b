"""Reading: the review queue, the history of an item, SQL, exports."""

from streams.query.review import ReviewQueue

__all__ = ["ReviewQueue"]

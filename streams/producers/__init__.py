"""Publishing facts: the typed producer and the imports."""

from streams.producers.producer import DeliveryError, Producer
from streams.producers.values import InvalidFact

__all__ = ["DeliveryError", "InvalidFact", "Producer"]

"""The transport `batch://`: what Faust is asked to load instead of its own Kafka driver.

The parts rely on private names of Faust and aiokafka and on librdkafka's private format of group metadata: other
versions are refused at import, and the crash tests are what tells whether a new version may be let in.
"""

from importlib.metadata import version

_TRIED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "confluent-kafka": "2.16.1"}

for _name, _wanted in _TRIED.items():
    if version(_name) != _wanted:
        raise ImportError(f"{_name} is {version(_name)}: the transport was tried with {_wanted} only; install that one")

# Only now, so that another version is met by the line above and not by whatever name it has lost.
from faust.transport.drivers import TRANSPORTS  # noqa: E402
from faust.transport.drivers import aiokafka as driver  # noqa: E402

from streams.transport.consumer import Consumer  # noqa: E402
from streams.transport.producer import Producer  # noqa: E402


class Transport(driver.Transport):
    """Batches in, one fenced transaction out."""

    Consumer = Consumer
    Producer = Producer


TRANSPORTS.aliases["batch"] = f"{__name__}:Transport"

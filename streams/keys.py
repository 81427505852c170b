"""Record keys and the partition they belong to.

Every part of a key is percent-encoded, so that no two keys collide and any tool can build and split them.
"""

from functools import lru_cache
from struct import unpack_from
from urllib.parse import quote, unquote

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995


@lru_cache(maxsize=65536)
def make_key(*parts: str) -> bytes:
    """Return the key of `parts` (project; project and item; project, item and annotator), percent-encoded UTF-8."""
    return "/".join([quote(part, safe="") for part in parts]).encode()


def item_key(project: str, item_id: str) -> bytes:
    """Return the key of an item."""
    return make_key(project, item_id)


@lru_cache(maxsize=4096)
def project_partition(project: str, partitions: int) -> int:
    """Return the partition of what is keyed below a project and partitioned by the project alone."""
    return partition_of(make_key(project), partitions)


def split_key(key: bytes) -> list[str]:
    """Return the parts of a key, decoded."""
    return [unquote(part) for part in key.decode().split("/")]


def murmur2(data: bytes) -> int:
    """Return Kafka's murmur2 hash of a key, masked to 31 bits, as every Java client computes it."""
    length = len(data)
    h = 0x9747B28C ^ length
    for word in unpack_from(f"<{length // 4}I", data):
        k = word * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = h * _M & _MASK ^ k
    tail = length & 3
    if tail:
        h ^= int.from_bytes(data[length - tail :], "little")
        h = h * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return (h ^ h >> 15) & 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition of a key: `murmur2(key) % partitions`, librdkafka's `murmur2_random` for a given key."""
    return murmur2(key) % partitions

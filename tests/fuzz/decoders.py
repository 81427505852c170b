"""One small function for each decoder; each may raise what `DECODERS` names, and nothing else."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from streams import codec, events
from streams.backup.folder import Folder, PartWriter
from streams.backup.manifest import File, Manifest, Part, Schema, from_text, to_text
from streams.backup.rows import Record
from streams.catalogue import TOPICS
from streams.cli import snapshot as cli_snapshot
from streams.dead_letters import given_back
from streams.errors import LabelloopError, Poison
from streams.processors.admission import authorise, decoded, own_key
from streams.producers.facts import Fact
from streams.producers.imports import KINDS, Problem, Source, parse
from streams.producers.lines import Format
from streams.producers.values import InvalidFact, as_time, as_value
from streams.producers.wire import encoded
from streams.projects import Projects
from streams.query.simulate import read_gold
from streams.sinks.ledger import Range
from streams.transport.positions import Suspect
from workers import artifact, trainers
from workers.snapshot import read_positions

CORPUS = Path(__file__).parent / "corpus"
EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"

NOW_MS = 1_900_000_000_000

FACTS = tuple(name for name, topic in TOPICS.items() if topic.kind == "fact")

_scratch = tempfile.TemporaryDirectory(prefix="labelloop-fuzz-")
_folder = Path(_scratch.name)


class Decoder(NamedTuple):
    """A decoder.

    Args:
        run: Decodes bytes.
        failures: What it documents to raise.
        share: Part of the runs of the long form; those that go through a file get fewer.
    """

    run: Callable[[bytes], object]
    failures: tuple[type[Exception], ...]
    share: int


def _wire(data: bytes) -> None:
    codec.decode(data)


def _fact(data: bytes) -> None:
    """The first byte chooses the schema, so that arbitrary bytes get as far as the checks of the fields."""
    topic = FACTS[data[0] % len(FACTS)] if data else FACTS[0]
    event = decoded(topic, b"\0" + codec.schema_id(topic).to_bytes(4, "big") + data[1:])
    events.validate(topic, event, NOW_MS)
    events.digest(event)
    projects = Projects()
    if topic == "projects":
        projects.apply(event, NOW_MS)
    if topic not in ("projects", "snapshots", "models", "ticks"):
        authorise(topic, event, projects.latest(event["project"]))
        own_key(event, data)


def _settings(data: bytes) -> None:
    Projects().learn(data, NOW_MS)


def _given_back(data: bytes) -> None:
    given_back(data, "items")


def _import(format: Format) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        """The first byte chooses the kind."""
        kind = [*KINDS][data[0] % len(KINDS)] if data else "labels"
        for line in parse(kind, format, BytesIO(data[1:]), Source("p", "0" * 64)):
            if not isinstance(line, Problem):
                try:
                    encoded(line[1], NOW_MS)
                except InvalidFact:
                    continue  # as import_file has it: a problem of the line

    return run


def _value(data: bytes) -> None:
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    value = as_value(answer)
    event = codec.decode(encoded(Fact("labels", {**_label(), "value": value}), NOW_MS))[1]
    events.validate("labels", event, NOW_MS)


def _label() -> dict[str, Any]:
    example = json.loads((EXAMPLES / "labels" / "minimal.json").read_text())
    return {**example, "occurred_at": None}


def _time(data: bytes) -> None:
    as_time(data.decode("utf-8", "replace"))


def _manifest(data: bytes) -> None:
    """Sealed again, so that not all but one in 2^256 end at the hash."""
    text = data.decode("utf-8", "replace")
    from_text_failed = False
    try:
        from_text(text)
    except ValueError:
        from_text_failed = True
    if from_text_failed:
        try:
            content = json.loads(text)
            content.pop("sha256", None)
            body = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            sealed = {**content, "sha256": hashlib.sha256(body.encode()).hexdigest()}
            text = json.dumps(sealed, indent=1, ensure_ascii=False) + "\n"
        except (ValueError, TypeError, AttributeError, RecursionError):
            return
        from_text(text)


def _container(data: bytes) -> None:
    (_folder / "part.avro").write_bytes(data)
    part = Part("labels", 0, 1, 1, files=(File("part.avro", 1, len(data), ""),))
    for _ in Folder(_folder).records(part):
        pass


def _model(data: bytes) -> None:
    (_folder / "manifest.json").write_bytes(data)
    (_folder / "model.pickle").write_bytes(b"")
    artifact.read_manifest(_folder)


def _positions(data: bytes) -> None:
    (_folder / "positions.json").write_bytes(data)
    cli_snapshot.read_json(_folder / "positions.json", read_positions)


def _gold(data: bytes) -> None:
    (_folder / "gold.jsonl").write_bytes(data)
    read_gold(_folder / "gold.jsonl")


def _range(data: bytes) -> None:
    Range.parse(data.decode("utf-8", "replace"))


def _suspect(data: bytes) -> None:
    Suspect.parse(data.decode("utf-8", "replace"))


def _trainers(data: bytes) -> None:
    trainers.given(data.decode("utf-8", "replace"))


DECODERS: dict[str, Decoder] = {
    "wire": Decoder(_wire, (Poison,), 10),
    "fact": Decoder(_fact, (Poison,), 30),
    "settings": Decoder(_settings, (), 10),
    "given-back": Decoder(_given_back, (), 5),
    "import-jsonl": Decoder(_import("jsonl"), (LabelloopError,), 10),
    "import-csv": Decoder(_import("csv"), (LabelloopError,), 10),
    "value": Decoder(_value, (LabelloopError,), 8),
    "time": Decoder(_time, (), 5),
    "backup-manifest": Decoder(_manifest, (ValueError,), 4),
    "backup-container": Decoder(_container, (LabelloopError,), 2),
    "model-manifest": Decoder(_model, (LabelloopError,), 2),
    "positions": Decoder(_positions, (LabelloopError,), 2),
    "gold-file": Decoder(_gold, (LabelloopError,), 2),
    "sink-range": Decoder(_range, (), 5),
    "suspect": Decoder(_suspect, (), 5),
    "trainers": Decoder(_trainers, (LabelloopError,), 5),
}
"""Every decoder of bytes that others wrote. `Folder` makes the ValueError of a manifest a LabelloopError."""


_JSON = (
    b"[" * 3000,
    b'{"a":' * 1500,
    b"1e999",
    b"-Infinity",
    b"NaN",
    b"9" * 400,
    b'"\\ud800"',
    b"[null, true, 1, [], {}]",
)
"""What JSON may hold that programs forget: depth, numbers that are none or too large, halves of a surrogate pair."""

_GOOD: dict[str, tuple[bytes, ...]] = {
    "value": (
        b'"cat"',
        b'["cat", "dog", 1]',
        b"0.5",
        b'{"kind": "choices", "choices": ["a", "b"]}',
        b'{"kind": "spans", "spans": [{"start": 0, "end": 3, "label": "x"}]}',
        b'{"kind": "boxes", "boxes": [{"label": "x", "x": 0.1, "y": 0.1, "width": 0.2, "height": 0.2}]}',
        b'{"kind": "polygons", "polygons": [{"label": "x", "points": [{"x": 0.1, "y": 0.1}]}]}',
    ),
    "time": (b"2026-11-01T12:00:00+01:00", b"1700000000", b"1700000000000.5", b"9999-12-31T23:59:59-23:59"),
    "sink-range": (b'{"first": 1, "last": 2}', b'{"first": Infinity, "last": 2}'),
    "suspect": (b'{"suspect": [1, 2]}', b'{"suspect": [1, Infinity]}'),
    "positions": (
        b'[{"topic": "labels", "partition": 0, "next": 1, "build": 1}]',
        b'{"offsets": [{"topic": "labels", "partition": 0, "next": 1, "build": 1}]}',
    ),
    "gold-file": (b'{"item_id": "i", "label": "cat"}\n',),
    "trainers": (b"rf=sklearn.ensemble:RandomForestClassifier, other=a:b",),
    "model-manifest": (b'{"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}',),
    "backup-manifest": (
        to_text(
            Manifest(1, "2026-11-01T12:00:00Z", "1", 4, (Schema(1, "labels", "0"),), (
                Part("labels", 0, 1, 3, 2, "0", (File("log/000001/labels-0.avro", 3, 9, "0"),)),
            ))
        ).encode(),
    ),
    "import-jsonl": tuple(
        bytes([n]) + b'{"item_id": "i", "annotator": "a", "label": "cat", "value": {"kind": "number", "number": 1}, '
        b'"at": "2026-11-01", "duration_ms": 5, "reviewer": "r", "verdict": "confirmed", "model_version": "m", '
        b'"probabilities": {"cat": 0.5}, "features": [1, 2.5], "text": "t", "kind": "k", "comment": "c"}\n'
        for n in range(len(KINDS))
    ),
    "import-csv": tuple(
        bytes([n]) + b"item_id,annotator,label,at,duration_ms,reviewer,verdict,model_version,probabilities,features\n"
        b'i,a,cat,2026-11-01,5,r,confirmed,m,"{""cat"": 0.5}","[1, 2.5]"\n'
        for n in range(len(KINDS))
    ),
}  # fmt: skip
"""Good inputs of decoders that no schema's example is one of."""


def seeds(name: str) -> Iterator[bytes]:
    """Yield good inputs of a decoder, made of the schemas' examples, and the kept ones of the corpus."""
    for file in sorted((CORPUS / name).glob("*")):
        yield file.read_bytes()
    yield from _GOOD.get(name, ())
    if name not in ("wire", "settings", "given-back", "fact"):
        yield from _JSON
    if name == "backup-container":
        with PartWriter(_folder, "seed.avro", "labels") as writer:
            for n, value in enumerate(seeds("wire")):
                writer.write(Record(n, 1, "CreateTime", b"k", (("h", b"v"),), value))
            writer.finish()
        yield (_folder / "seed.avro").read_bytes()
    for file in sorted(EXAMPLES.glob("*/*.json")):
        schema = file.parent.name
        if name in ("wire", "settings", "given-back", "fact"):
            raw = _example(schema, json.loads(file.read_text()))
            if raw is not None and (name != "fact" or schema in FACTS):
                yield bytes([FACTS.index(schema)]) + raw[5:] if name == "fact" else raw


def _example(schema: str, record: dict[str, Any]) -> bytes | None:
    try:
        return codec.encode(schema, record)
    except (TypeError, ValueError, KeyError):  # examples write bytes as text
        return None


def attempt(name: str, data: bytes) -> None:
    """Decode; what is documented may be raised, the rest comes through."""
    decoder = DECODERS[name]
    try:
        decoder.run(data)
    except decoder.failures:
        return

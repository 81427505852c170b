"""A backup's files: every record comes back byte for byte, at its offset, and no flipped bit goes unnoticed."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from avro.datafile import DataFileReader
from avro.io import DatumReader
from fastavro import parse_schema, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

from streams import codec, contract
from streams.backup.folder import Folder
from streams.backup.holes import Abort, Append, Commit, Mark, Write, writes
from streams.backup.manifest import FORMAT, KEPT, File, Manifest, Part, Schema, from_text, ranges, to_text
from streams.backup.restore import check
from streams.backup.rows import Record, Records, Rows, digest, fingerprints, versions
from streams.catalogue import TOPICS
from streams.errors import LabelloopError

EXAMPLES = contract.examples()


def record(value: bytes | None, offset: int = 0, key: bytes | None = b"p/i") -> Record:
    return Record(offset, 1_700_000_000_000 + offset, "LogAppendTime", key, (("h", b"\0\xff"), ("h", None)), value)


def written(id_: int, schema: Any, event: dict[str, Any]) -> bytes:
    """Return an event as a program of the time of that schema wrote it."""
    out = BytesIO()
    out.write(b"\0" + id_.to_bytes(4, "big"))
    schemaless_writer(out, parse_schema(schema), event)
    return out.getvalue()


def saved(folder: Path, topic: str, records: Iterable[Record]) -> Part:
    """Write records to a file and return the part that it makes."""
    kept = [*records]
    with Folder(folder).writer(1, topic, 0) as writer:
        for one in kept:
            writer.write(one)
        return Part(topic, 0, 1, kept[-1].offset + 1, kept[-1].offset, digest(kept[-1]), (writer.finish(),))


def manifest(*parts: Part, point: int = 1) -> Manifest:
    return Manifest(point, "2026-11-25T18:50:12.000Z", "0.1.0", 4, (Schema(3, "labels", "ab"),), parts)


@pytest.mark.parametrize("topic", KEPT)
def test_every_example_comes_back_as_the_bytes_it_was_whatever_schema_wrote_it(tmp_path: Path, topic: str) -> None:
    name = str(TOPICS[topic].schema)
    events = [codec.decode(codec.encode(name, example))[1] for example in EXAMPLES[name].values()]
    values = [written(id_, schema, event) for id_, schema in versions(topic).items() for event in events]
    sent = [record(value, 3 * n) for n, value in enumerate(values)]
    assert all(Rows(topic).row(one)["raw"] is None for one in sent)
    assert [*Folder(tmp_path).records(saved(tmp_path, topic, sent))] == sent


def test_a_file_holds_all_versions_in_order_and_another_library_reads_it(tmp_path: Path) -> None:
    example = codec.decode(codec.encode("projects", EXAMPLES["projects"]["full"]))[1]
    assert len(versions("projects")) > 1
    sent = [
        record(written(id_, schema, example), offset)
        for offset, (id_, schema) in enumerate([*versions("projects").items(), *versions("projects").items()])
    ]
    part = saved(tmp_path, "projects", sent)
    assert [*Folder(tmp_path).records(part)] == sent
    with DataFileReader((tmp_path / part.files[0].path).open("rb"), DatumReader()) as reader:
        rows: list[Any] = [*reader]
    assert [row["schema_id"] for row in rows] == [*versions("projects")] * 2
    assert all(row["value"]["event_id"] == example["event_id"] for row in rows)


def strange_values() -> Iterator[bytes | None]:
    """Yield values that decoding and encoding does not give back."""
    good = codec.encode("labels", EXAMPLES["labels"]["full"])
    yield None
    yield b""
    yield b"\0\0"
    yield b"{}"
    yield good + b"\0"
    yield good[:-1]
    yield b"\0\x7f\xff\xff\xff" + good[5:]
    yield codec.encode("flags", EXAMPLES["flags"]["full"])
    yield good[:5] + bytes([good[5] | 0x80, 0x00]) + good[6:]  # the first length as an over-long number


def test_what_cannot_be_encoded_to_the_same_bytes_is_kept_as_it_is(tmp_path: Path) -> None:
    sent = [record(value, offset, None) for offset, value in enumerate(strange_values())]
    assert {Rows("labels").row(one)["schema_id"] for one in sent} == {None}
    assert [*Folder(tmp_path).records(saved(tmp_path, "labels", sent))] == sent


@given(st.binary(max_size=60), st.sampled_from(["labels", "items", "projects", "ticks"]))
def test_no_bytes_are_lost(body: bytes, topic: str) -> None:
    rows = Rows(topic)
    for id_ in versions(topic):
        value = b"\0" + id_.to_bytes(4, "big") + body
        row = rows.row(record(value))
        if row["schema_id"] is None:
            assert row["raw"] == value
        else:
            assert written(id_, versions(topic)[id_], row["value"][1]) == value


def test_rows_of_another_schema_are_refused(tmp_path: Path) -> None:
    for schema in ({"type": "record", "name": "X", "fields": []}, "string", {"fields": [{"name": "value", "type": 1}]}):
        with pytest.raises(ValueError, match="not the schema of a backup"):
            Records(schema)
    part = saved(tmp_path, "labels", [record(None)])
    (tmp_path / part.files[0].path).write_bytes(b"Obj\x01 and then nothing")
    with pytest.raises(LabelloopError, match=r"labels-0\.avro is no file of records"):
        [*Folder(tmp_path).records(part)]


def replayed(plan: Iterable[Write]) -> tuple[list[tuple[int, Record]], int]:
    """Return the offset at which a log has each record after some writes, and the log's end."""
    found: list[tuple[int, Record]] = []
    end = 0
    for write in plan:
        match write:
            case Append(one):
                found.append((end, one))
                end += 1
            case Commit(one):
                found.append((end, one))
                end += 2
            case Abort(count):
                assert count
                end += count + 1
            case Mark():
                end += 1
    return found, end


@given(st.lists(st.integers(0, 5)), st.integers(0, 5))
def test_every_record_gets_its_offset_whatever_holes_there_are(holes: list[int], last_hole: int) -> None:
    records, offset = [], 0
    for hole in holes:
        offset += hole
        records.append(record(b"x", offset))
        offset += 1
    found, end = replayed(writes(records, offset + last_hole))
    assert found == [(one.offset, one) for one in records]
    assert end == offset + last_hole


def test_offsets_that_do_not_rise_are_refused() -> None:
    for offsets, end in (((1, 1), 9), ((2, 1), 9), ((3,), 3)):
        with pytest.raises(ValueError, match="offset"):
            [*writes([record(b"x", offset) for offset in offsets], end)]


def test_a_manifest_is_read_as_it_was_written_and_no_flipped_bit_goes_unnoticed() -> None:
    file = File("log/000001/labels-0.avro", 5, 700, "cd")
    whole = manifest(Part("labels", 0, 1, 9, 7, "ef", (file,)), Part("labels", 1, 1, 0))
    text = to_text(whole)
    assert from_text(text) == whole
    assert (whole.records, whole.files) == (5, [file])
    for place, byte in enumerate(text.encode()):
        flipped = bytearray(text.encode())
        flipped[place] = byte ^ 1 << place % 8
        with pytest.raises(ValueError, match=r"."):
            from_text(flipped.decode())
    with pytest.raises(ValueError, match="format 2, this program reads 1"):
        from_text(text.replace(f'"format": {FORMAT}', '"format": 2'))


def test_no_text_is_taken_for_a_manifest_that_is_none() -> None:
    outside = to_text(manifest(Part("labels", 0, 1, 1, 0, "ef", (File("../x", 1, 1, "cd"),))))
    for text in ("", "[]", "{}", "1", "[" * 100_000, to_text(manifest()).replace("}", "", 1), outside):
        with pytest.raises(ValueError, match=r"."):
            from_text(text)


def test_a_flipped_bit_or_a_missing_file_is_named(tmp_path: Path) -> None:
    parts = [saved(tmp_path, topic, [record(b"x" * 50, n) for n in range(3)]) for topic in ("labels", "items")]
    folder, point = Folder(tmp_path), manifest(*parts)
    with folder.locked():
        folder.add(point)
    told: list[tuple[int, int]] = []
    folder.verify(folder.point(), lambda passed, of: told.append((passed, of)))
    assert told[-1] == (sum(file.size for file in point.files),) * 2
    for file in point.files:
        path = tmp_path / file.path
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 4]))
        with pytest.raises(LabelloopError, match=f"{path} is not as it was written"):
            folder.verify(point)
        path.unlink()
        with pytest.raises(LabelloopError, match=f"{path} cannot be read"):
            folder.verify(point)
        path.write_bytes(content)
    path = tmp_path / "points" / "000001.json"
    path.write_text(path.read_text().replace('"records": 3', '"records": 2'))
    with pytest.raises(LabelloopError, match=f"{path} is not as it was written"):
        folder.point()


def test_points_are_found_by_number(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(LabelloopError, match="is no backup: make one with"):
        folder.point()
    with folder.locked():
        for number in (1, 2):
            folder.add(manifest(point=number))
        with pytest.raises(LabelloopError, match="another backup writes"), Folder(tmp_path).locked():
            pass
    assert [point.point for point in folder.points()] == [1, 2]
    assert (folder.point().point, folder.point(1).point) == (2, 1)
    with pytest.raises(LabelloopError, match="no point 3"):
        folder.point(3)


KNOWN = manifest(Part("labels", 0, 1, 9, 7, "ef"), Part("labels", 1, 1, 4), Part("projects", 0, 2, 0))
BUILDS = {"labels": 1, "projects": 2, "gold": 1}
ENDS = {("labels", 0): 12, ("labels", 1): 6, ("projects", 0): 0, ("gold", 0): 3}


def test_the_next_point_reads_what_came_since_and_the_last_record_again() -> None:
    assert ranges(None, BUILDS, ENDS) == {place: range(end) for place, end in ENDS.items()}
    assert ranges(KNOWN, BUILDS, ENDS) == {
        ("labels", 0): range(7, 12),
        ("labels", 1): range(4, 6),  # it had markers alone
        ("projects", 0): range(0),
        ("gold", 0): range(3),  # a topic that is new
    }


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda: ranges(KNOWN, BUILDS | {"labels": 2}, ENDS), "labels is build 2, and was build 1"),
        (lambda: ranges(KNOWN, BUILDS, ENDS | {("labels", 0): 8}), "labels-0 ends at 8, and ended at 9"),
        (lambda: ranges(KNOWN, BUILDS, {("labels", 0): 12}), "no labels-1, projects-0"),
    ],
)
def test_another_log_is_not_added(change: Callable[[], object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        change()


def test_a_record_is_known_again_in_a_restored_log_and_no_other_is() -> None:
    one = record(b"x")
    assert digest(one) == digest(one._replace(timestamp_type="CreateTime"))
    others = [
        one._replace(offset=1),
        one._replace(timestamp=1),
        one._replace(key=None),
        one._replace(headers=()),
        one._replace(value=b"y"),
    ]
    assert len({digest(other) for other in (one, *others)}) == 6


def test_a_backup_that_this_program_or_stack_cannot_hold_is_refused(tmp_path: Path) -> None:
    id_, sha256 = next(iter(fingerprints("labels").items()))
    point = replace(KNOWN, schemas=(Schema(id_, "labels", sha256),))
    folder = Folder(tmp_path)
    check(folder, point, 4)
    with pytest.raises(LabelloopError, match="set LABELLOOP_PARTITIONS=4"):
        check(folder, point, 8)
    for schema in (Schema(id_, "labels", "other"), Schema(10**6, "labels", sha256)):
        with pytest.raises(LabelloopError, match=rf"schema {schema.id} \(labels\).*use labelloop 0\.1\.0 or newer"):
            check(folder, replace(point, schemas=(schema,)), 4)
    with pytest.raises(LabelloopError, match="topics that this program does not know: novel"):
        check(folder, replace(point, parts=(Part("novel", 0, 1, 0),)), 4)

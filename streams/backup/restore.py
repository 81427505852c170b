"""Puts a backup onto an empty stack: every record at its offset, with its time.

In this order, so that a stack that was filled in part is never taken for a whole one:

1. all files are compared with their hashes, before a server is asked anything;
2. the stack must be empty, or hold what a restore left that broke off;
3. the build numbers of the topics are noted as unfinished: from now on no worker starts;
4. the topics are made anew under CreateTime, so that the log takes the times it is given;
5. the records are written, partition by partition, and each offset is compared with the one it must be;
6. the topics of facts get LogAppendTime back, as the catalogue declares it;
7. the build numbers are noted as they were, and the stack is whole.

A restore that broke off is not gone on with but begun again at 4: what it wrote it can write once more.
"""

from collections.abc import Sequence

from confluent_kafka.admin import AdminClient

from streams.backup.folder import Folder
from streams.backup.holes import Append, Commit, writes
from streams.backup.manifest import KEPT, Manifest
from streams.backup.rows import fingerprints
from streams.backup.writer import Writer
from streams.clients import CLIENT_LOG, kafka
from streams.errors import LabelloopError, NotNow
from streams.query.lag import LagReader
from streams.query.log import Tell
from streams.query.running import running
from streams.settings import Settings
from streams.sinks.checks import filled_tables
from streams.transport import topics


def check(folder: Folder, manifest: Manifest, partitions: int, tell: Tell = lambda passed, of: None) -> None:
    """Check that a point can be restored; asks no server.

    Args:
        folder: The backup's directory.
        manifest: The point.
        partitions: Partitions of each item-keyed topic of the stack.
        tell: Told how many bytes of how many are compared.

    Raises:
        LabelloopError: a file is not as it was written, or the point needs another program or partition count.
    """
    if manifest.partitions != partitions:
        raise LabelloopError(
            f"the backup is of {manifest.partitions} partitions, the stack is to have {partitions}: "
            f"set LABELLOOP_PARTITIONS={manifest.partitions}, for this command and for the stack"
        )
    known = {id_: found for topic in KEPT for id_, found in fingerprints(topic).items()}
    for schema in manifest.schemas:
        if known.get(schema.id) != schema.fingerprint:
            raise LabelloopError(
                f"the backup has records of schema {schema.id} ({schema.name}), which this program does not know: "
                f"use labelloop {manifest.code_version} or newer"
            )
    if strange := sorted({part.topic for part in manifest.parts} - {*KEPT}):
        raise LabelloopError(f"the backup has topics that this program does not know: {', '.join(strange)}")
    folder.verify(manifest, tell)


def restore(settings: Settings, folder: Folder, manifest: Manifest, tell: Tell = lambda passed, of: None) -> None:
    """Put a point that `check` passed onto an empty stack.

    Args:
        settings: Where the servers are.
        folder: The backup's directory.
        manifest: The point.
        tell: Told how many records of how many are written.

    Raises:
        LabelloopError: the stack is not empty, its workers run, a server does not answer, or somebody else writes.
    """
    admin = AdminClient(kafka(settings), logger=CLIENT_LOG)
    _check_empty(settings, admin)
    topics.make(settings, ["catalogue"])
    names = [topic for topic in KEPT if any(part.topic == topic for part in manifest.parts)]
    topics.note(settings, dict.fromkeys(names, topics.UNFINISHED))
    _make_anew(settings, names)
    passed, total = 0, manifest.records
    with Writer(settings) as writer:
        for part in manifest.parts:
            try:
                for write in writes(folder.records(part), part.next):
                    writer.write(part, write)
                    passed += isinstance(write, Append | Commit)
                    if not passed % 1000:
                        tell(passed, total)
            except ValueError as error:
                raise LabelloopError(f"{part.topic}-{part.partition} cannot be restored: {error}") from error
            writer.finish(part)
            tell(passed, total)
    topics.configure(settings, names)
    topics.note(settings, {part.topic: part.build for part in manifest.parts})


def _check_empty(settings: Settings, admin: AdminClient) -> None:
    """Check that nothing is in the way but what a restore left that broke off.

    Raises:
        LabelloopError: something is.
    """
    there = {name.removeprefix(settings.topic("")) for name in topics.found_partitions(admin, settings)}
    noted = topics.noted(settings) if "catalogue" in there else {}
    broke_off = topics.UNFINISHED in {entry.build for entry in noted.values()}
    if topics.moving(noted) is not None:
        topics.builds(settings)  # says what to do
    if busy := running(settings):
        raise LabelloopError(f"workers of the stack run ({', '.join(busy)}): stop them, then restore")
    there -= {"catalogue", *(KEPT if broke_off else ())}
    try:
        topics.check(settings, there)
    except NotNow as error:
        raise LabelloopError(str(error)) from error
    with LagReader(settings) as reader:
        ends = reader.end_offsets(sorted(there)) if there else {}
    filled = sorted({topic for (topic, _), end in ends.items() if end})
    tables = filled_tables(settings.clickhouse) if settings.clickhouse.port else []
    if filled or tables:
        where = [f"topics {_some(filled)} at {settings.kafka}"] if filled else []
        where += [f"tables {_some(tables)} of database {settings.clickhouse.database}"] if tables else []
        raise LabelloopError(
            f"the stack is not empty: there are records in {' and '.join(where)}. A backup is restored onto an empty "
            "stack only: give --data a new directory, or, on servers of your own, set another LABELLOOP_PREFIX and "
            "name another database"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _make_anew(settings: Settings, names: Sequence[str]) -> None:
    """Delete topics, and create them under CreateTime.

    An existing topic could be switched, but no answer tells when every broker has heard of that; a new one is under it
    from its first record.
    """
    topics.remove(settings, names)
    topics.make(settings, names, {"message.timestamp.type": "CreateTime"})

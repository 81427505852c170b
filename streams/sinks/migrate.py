"""Numbered migrations of the ClickHouse database, each applied once."""

import re
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from streams.errors import LabelloopError, NotNow
from streams.settings import Settings
from streams.sinks.writer import Writer

_FOLDER = Path(__file__).parent / "ddl"

_MIGRATIONS = """CREATE TABLE IF NOT EXISTS migrations
(
    name String COMMENT 'File.',
    sha256 String COMMENT 'Hash of the file.',
    applied_at DateTime DEFAULT now() COMMENT 'When it was applied.'
)
ENGINE = MergeTree ORDER BY name COMMENT 'Migrations that were applied.'"""


def migrate(settings: Settings, folder: Path = _FOLDER) -> list[str]:
    """Create the database, apply what is missing, and see to it that the analyst can read it.

    Args:
        settings: Where the server is.
        folder: The migrations, `NNNN_name.sql`.

    Returns:
        Names of the migrations that were applied now.

    Raises:
        LabelloopError: the server is away, a file that was applied has been edited, or the analyst cannot read.
    """
    database = settings.clickhouse.database
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", database):
        raise LabelloopError(f"database {database!r}: use letters, digits and underscores")
    root, writer = Writer(replace(settings.clickhouse, database="")), Writer(settings.clickhouse)
    files, done = sorted(folder.glob("[0-9]*.sql")), list[str]()
    try:
        root.query("SELECT 1")
        if not _is_current(writer, files):  # a user that may change nothing need not
            root.query(f"CREATE DATABASE IF NOT EXISTS {database}")
            done = _apply(writer, files)
        _let_read(writer, settings)
        return done
    except NotNow as error:
        at = settings.clickhouse
        raise LabelloopError(f"ClickHouse at {at.host}:{at.port} does not answer: {error}") from error
    finally:
        root.close()
        writer.close()


def _is_current(writer: Writer, files: list[Path]) -> bool:
    """Return whether every migration is applied, as it is."""
    try:
        applied = {(str(name), str(hash_)) for name, hash_ in writer.query("SELECT name, sha256 FROM migrations")}
    except LabelloopError:  # there are no tables yet, or none for this user
        return False
    return applied >= {(file.name, _fingerprint(file.read_text())) for file in files}


def _fingerprint(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _let_read(writer: Writer, settings: Settings) -> None:
    """See to it that the analyst can read the database."""
    user, database = settings.analyst.user, settings.clickhouse.database
    reader, anywhere = Writer(settings.analyst), Writer(replace(settings.analyst, database=""))
    try:
        anywhere.query("SELECT 1")
        reader.query("SELECT count() FROM migrations")
    except LabelloopError as refusal:
        grant = f"GRANT SELECT, SHOW ON {database}.* TO `{user}`"
        try:
            writer.query(grant)
            reader.query("SELECT count() FROM migrations")
        except LabelloopError:
            raise LabelloopError(f"{user} cannot read {database}: run {grant!r} as an administrator") from refusal
    finally:
        reader.close()
        anywhere.close()


def statements(text: str) -> list[str]:
    """Return the statements of a migration file; one ends with `;` at the end of a line."""
    parts = re.split(r";[ \t]*$", text, flags=re.MULTILINE)
    return [part.strip() for part in parts if re.sub(r"--.*", "", part).strip()]


def _apply(writer: Writer, files: list[Path]) -> list[str]:
    writer.query(_MIGRATIONS)
    applied = {str(name): str(hash_) for name, hash_ in writer.query("SELECT name, sha256 FROM migrations")}
    done = []
    for file in files:
        text = file.read_text()
        fingerprint = _fingerprint(text)
        if file.name in applied:
            if applied[file.name] != fingerprint:
                raise LabelloopError(f"{file.name} was edited after it was applied: restore it and add a new migration")
            continue
        for statement in statements(text):
            # A migration that was cut off is applied again from its beginning.
            writer.query(re.sub(r"^CREATE (TABLE|VIEW) ", r"CREATE \1 IF NOT EXISTS ", statement, flags=re.MULTILINE))
        writer.query("INSERT INTO migrations (name, sha256) SELECT %(n)s, %(h)s", {"n": file.name, "h": fingerprint})
        done.append(file.name)
    return done


def views(folder: Path = _FOLDER) -> dict[str, str]:
    """Return the statement that makes each view, as the last migration has it, by name, sorted."""
    found = {}
    for file in sorted(folder.glob("[0-9]*.sql")):
        for statement in statements(file.read_text()):
            if made := re.search(r"^CREATE (?:OR REPLACE )?VIEW (\w+)", statement, re.MULTILINE):
                found[made[1]] = statement[made.start() :]
            elif dropped := re.search(r"^DROP VIEW IF EXISTS (\w+)", statement, re.MULTILINE):
                found.pop(dropped[1], None)
            elif renamed := re.search(r"^RENAME TABLE IF EXISTS (\w+) TO (\w+)", statement, re.MULTILINE):
                found[renamed[2]] = found.pop(renamed[1]).replace(renamed[1], renamed[2], 1)
    return dict(sorted(found.items()))


def refreshed(folder: Path = _FOLDER) -> list[str]:
    """Return the tables that ClickHouse computes anew every so often: `X` from the view `X_now`, by `X_refresh`."""
    made = r"^CREATE MATERIALIZED VIEW IF NOT EXISTS \w+\s+REFRESH .* TO (\w+)$"
    return sorted(
        name for file in folder.glob("[0-9]*.sql") for name in re.findall(made, file.read_text(), re.MULTILINE)
    )

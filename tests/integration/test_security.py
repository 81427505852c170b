"""Servers that let in only who logs in, over TLS: all that is allowed works, all else is refused in one line."""

import csv
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from clickhouse_driver.errors import ServerException

from streams import cli
from streams.clickhouse import connect
from streams.embedded import ports
from streams.embedded.backoff import STOP_FOR_GOOD
from streams.settings import Settings
from streams.sinks.checks import check_tables, filled
from streams.sinks.migrate import migrate, refreshed
from streams.sinks.tables import TABLES
from streams.sinks.writer import Writer
from streams.transport.guards import RESTART
from tests.integration.secured import MARK, Authority, Secured, role_statements, terminator
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
WORKERS = ("items", "quality", "retrain", "sink")

Environment = dict[str, str]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with ExitStack() as stack:
        yield Secured(tmp_path_factory.mktemp("secured"), stack)


@pytest.fixture(scope="module")
def tables(secured: Secured) -> Secured:
    """Return the servers with the tables made, by who may make them."""
    migrate(Settings.load(environ=secured.environment("", "migrator", "analyst")))
    return secured


@pytest.fixture(scope="module")
def prepared(tables: Secured) -> Secured:
    """Return the servers with topics too."""
    done = labelloop(tables.environment("lead", "migrator", "analyst"), "migrate")
    assert done.returncode == 0, done.stderr
    return tables


def environment(variables: Environment) -> Environment:
    return {name: value for name, value in os.environ.items() if not name.startswith("LABELLOOP_")} | variables


def labelloop(variables: Environment, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "streams.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment(variables), timeout=150)
    assert MARK not in done.stdout + done.stderr
    return done


class Command:
    """The command line, run in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._patch, self._captured = monkeypatch, capsys

    def __call__(self, variables: Environment, *arguments: str) -> tuple[int, str, str]:
        """Return exit status, stdout and stderr."""
        with self._patch.context() as patch:
            for name in [name for name in os.environ if name.startswith("LABELLOOP_")]:
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["labelloop", *arguments])
            status: object = 0
            try:
                cli.main()
            except SystemExit as error:
                status = error.code
        out, err = self._captured.readouterr()
        assert MARK not in out + err
        assert isinstance(status, int)
        return status, out, err

    def works(self, variables: Environment, *arguments: str) -> str:
        status, out, err = self(variables, *arguments)
        assert status == 0, err
        return out

    def refused(self, variables: Environment, *arguments: str) -> str:
        status, out, err = self(variables, *arguments)
        assert (status, out) == (STOP_FOR_GOOD, ""), err
        assert err.startswith("labelloop: ")
        assert err.count("\n") == 1
        return err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@contextmanager
def running(secured: Secured, names: Sequence[str]) -> Iterator[dict[str, Path]]:
    """Run workers, each as its own user and started again as by a supervisor, and give their logs."""
    logs, ended, stopping = {name: secured.home / f"{name}.log" for name in names}, dict[str, int](), threading.Event()
    processes: dict[str, subprocess.Popen[bytes]] = {}

    def keep(name: str) -> None:
        variables = environment(secured.environment(name, "sink" if name == "sink" else ""))
        worker = [sys.executable, "-m", "streams.cli", "worker", name]
        with logs[name].open("ab") as out:
            while not stopping.is_set():
                processes[name] = subprocess.Popen(worker, stdout=out, stderr=out, cwd=ROOT, env=variables)
                ended[name] = processes[name].wait()
                if ended[name] != RESTART:
                    return

    threads = [threading.Thread(target=keep, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    try:
        yield logs
        assert not {name: status for name, status in ended.items() if status != RESTART}, logs
    finally:
        stopping.set()
        for thread, name in zip(threads, names, strict=True):
            while thread.is_alive():
                if name in processes:
                    processes[name].terminate()
                thread.join(1)


def test_an_import_goes_through_all_workers_and_leaves_no_password_anywhere(
    prepared: Secured, command: Command, tmp_path: Path
) -> None:
    secured = prepared
    lead, analyst = secured.environment("lead", "migrator", "analyst"), secured.environment("lead", "analyst")
    command.works(secured.environment("lead", "sink", "analyst"), "migrate")  # all is there: no right to make it needed
    labels = tmp_path / "labels.csv"
    with labels.open("w", newline="") as out:
        rows = [(f"i{n}", who, "cat" if n % 2 else "dog") for n in range(40) for who in ("anna", "ben")]
        csv.writer(out).writerows([("item_id", "annotator_id", "label"), *rows, ("i0", "carl", "cat")])
    with running(secured, WORKERS) as logs:
        command.works(lead, "project", "set", "--project", "p", "--member", "ria=reviewer", "--by", "lena")
        publisher = {**secured.environment("publisher"), "LABELLOOP_KAFKA_MECHANISM": "SCRAM-SHA-256"}
        command.works(publisher, "import", "labels", str(labels), "--project", "p")
        command.works(lead, "settle", "--project", "p", "--timeout", "120")
        reviewer = secured.environment("reviewer", "analyst")
        assert "i0" in command.works(reviewer, "take", "--project", "p", "--as", "ria")
        command.works(reviewer, "correct", "i0", "cat", "--project", "p", "--as", "ria")
        command.works(lead, "wait", "--timeout", "120")
        query = "SELECT count(), countIf(label = 'cat') FROM labels FINAL"
        assert command.works(analyst, "sql", query, "--format", "csv").splitlines()[1] == "81,41"
        verdicts = command.works(analyst, "sql", "SELECT verdict FROM corrections", "--format", "csv")
        assert verdicts.split()[1:] == ["corrected"]
        reports = secured.environment("lead", "reports")
        command.works(reports, "report", "--project", "p", "--out", str(tmp_path / "report"))
    written = [
        *logs.values(),
        *secured.home.glob("logs/*"),
        *tmp_path.glob("report/*"),
        *secured.home.glob("data/**/*"),
    ]
    for file in written:
        assert not file.is_file() or MARK.encode() not in file.read_bytes(), file
    for log in logs.values():
        assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture(scope="module")
def elsewhere(secured: Secured) -> Iterator[Callable[[str, str], Environment]]:
    """Give what differs from the right environment, by what is wrong with it."""
    other = Authority(secured.home, "stranger-ca").file
    secret = secured.home / "wrong.password"
    secret.write_text(f"{MARK}-wrong")
    with terminator(secured.authority.signed("expired", days=-1), 1) as expired:

        def different(wrong: str, server: str) -> Environment:
            if wrong == "password":
                return {f"LABELLOOP_{server}_PASSWORD_FILE": str(secret)}
            if wrong == "authority":
                return {f"LABELLOOP_{server}_CA": str(other)}
            port = secured.kafka_port if server == "KAFKA" else secured.clickhouse_port
            at = f"localhost:{port}" if wrong == "name" else f"{ports.LOCALHOST}:{expired}"
            return {f"LABELLOOP_{server}": at if server == "KAFKA" else f"clickhouses://sink@{at}/labelloop"}

        yield different


TOLD = {
    "password": "does not let user sink in: check",
    "authority": "does not vouch for",
    "name": "shows a certificate that is not for localhost: use a name that is in it",
    "expired": "shows a certificate that has expired: renew it there",
}


def changed(right: Environment, wrong: Environment, server: str) -> Environment:
    return right | {name: value for name, value in wrong.items() if name.startswith(f"LABELLOOP_{server}")}


@pytest.mark.parametrize("wrong", TOLD)
@pytest.mark.parametrize("server", ["KAFKA", "CLICKHOUSE"])
def test_what_does_not_fit_is_refused_in_one_line(
    secured: Secured, elsewhere: Callable[[str, str], Environment], command: Command, wrong: str, server: str
) -> None:
    right = secured.environment("sink" if server == "KAFKA" else "", "sink")
    variables = right | elsewhere(wrong, server)
    asked = ("project", "show", "--project", "p") if server == "KAFKA" else ("sql", "SELECT 1")
    assert TOLD[wrong] in command.refused(variables, *asked)
    if server == "KAFKA":
        assert_worker_stops(variables, "sink", TOLD[wrong])


@pytest.mark.parametrize("wrong", TOLD)
def test_a_sink_that_clickhouse_refuses_says_so_in_one_line(
    prepared: Secured, elsewhere: Callable[[str, str], Environment], wrong: str
) -> None:
    assert_worker_stops(prepared.environment("sink", "sink") | elsewhere(wrong, "CLICKHOUSE"), "sink", TOLD[wrong])


def assert_worker_stops(variables: Environment, worker: str, told: str) -> None:
    """Check that a worker ends for good, and says why in one line."""
    done = labelloop(variables, "worker", worker)
    assert done.returncode == STOP_FOR_GOOD, done.stderr
    lines = [line for line in done.stderr.splitlines() if "%6|" not in line]
    assert [told in line for line in lines] == [True], done.stderr


@pytest.mark.parametrize(
    "worker", ["items", "sink", *(pytest.param(name, marks=pytest.mark.slow) for name in ("quality", "retrain"))]
)
def test_a_worker_without_its_rights_names_them(prepared: Secured, worker: str) -> None:
    first = {"items": "items", "quality": "fits", "retrain": "labels.corrected", "sink": "items"}[worker]
    assert_worker_stops(
        prepared.environment("stranger", "sink"), worker, f"user stranger may not read topic labelloop.{first},"
    )


def test_a_command_without_a_right_says_which(prepared: Secured, command: Command, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("item_id,annotator_id,label\ni0,anna,cat\n")
    asked = ("import", "labels", str(labels), "--project", "p")
    told = command.refused(prepared.environment("stranger"), *asked)
    assert "user stranger lacks a right to this topic: grant it by the table in docs/security.md" in told
    told = command.refused(prepared.environment("", "sink"), "sql", "SELECT text FROM comments")
    assert "Not enough privileges" in told
    assert "grant it by deploy/clickhouse/roles.sql" in told


@pytest.mark.parametrize(
    ("user", "statement"),
    [
        ("sink", "SELECT count() FROM labels WHERE label = 'cat'"),
        ("sink", "CREATE TABLE mine (n Int8) ENGINE = Memory"),
        ("sink", "INSERT INTO migrations (name) SELECT 'mine'"),
        ("sink", "ALTER TABLE labels DELETE WHERE 1"),
        ("migrator", "CREATE TABLE elsewhere.mine (n Int8) ENGINE = Memory"),
        ("migrator", "DROP DATABASE labelloop"),
        ("reports", "SELECT count() FROM comments WHERE text != ''"),
        ("reports", "INSERT INTO labels (project) SELECT 'p'"),
        ("analyst", "INSERT INTO labels (project) SELECT 'p'"),
        ("analyst", "SELECT * FROM url('http://127.0.0.1/', 'LineAsString')"),
    ],
)
def test_no_role_may_do_more(tables: Secured, user: str, statement: str, tmp_path: Path) -> None:
    address = Settings.load(tmp_path, tables.environment("", user)).clickhouse
    with connect(address) as client, pytest.raises(ServerException) as told:
        client.execute(statement)
    assert told.value.code in (497, 164), told.value.message  # ACCESS_DENIED, READONLY


def test_the_server_understands_the_file_of_roles(tables: Secured) -> None:
    with connect(tables.administrator) as client:
        for statement in role_statements():
            assert client.execute(f"EXPLAIN AST {statement}"), statement


def test_who_made_the_tables_may_compute_those_that_are_computed_every_so_often(tables: Secured) -> None:
    with closing(Writer(tables.administrator)) as administrator:
        for table in refreshed():
            administrator.query(f"SYSTEM REFRESH VIEW labelloop.{table}_refresh")
            administrator.query(f"SYSTEM WAIT VIEW labelloop.{table}_refresh")  # raises what went wrong
        asked = (
            "SELECT count() FROM system.view_refreshes WHERE database = 'labelloop' AND last_success_time IS NOT NULL"
        )
        assert administrator.query(asked) == [(len(refreshed()),)]


def test_the_sink_may_fill_every_table(tables: Secured, tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, tables.environment("", "sink", "analyst"))
    with connect(settings.clickhouse) as client, closing(Writer(settings.clickhouse)) as writer:
        check_tables(writer)
        for table in sorted({*TABLES.values()}):
            client.execute(f"INSERT INTO {table} (_topic, _partition) SELECT 'here', 7")
        assert ("here", 7) in filled(writer)
    assert migrate(settings) == []  # all is there: no right to make it is needed


@pytest.mark.slow
def test_a_model_is_trained_with_the_rights_of_its_worker(prepared: Secured, command: Command, tmp_path: Path) -> None:
    lead, publisher = prepared.environment("lead", "migrator", "analyst"), prepared.environment("publisher")
    items, labels = tmp_path / "items.csv", tmp_path / "labels.csv"
    items.write_text("item_id,text\n" + "".join(f"m{n},{'miaow' if n % 2 else 'woof'} {n}\n" for n in range(40)))
    rows = (f"m{n},{who},{'cat' if n % 2 else 'dog'}\n" for n in range(40) for who in ("anna", "ben"))
    labels.write_text("item_id,annotator_id,label\n" + "".join(rows))
    with running(prepared, WORKERS):
        command.works(publisher, "import", "items", str(items), "--project", "m")
        command.works(publisher, "import", "labels", str(labels), "--project", "m")
        command.works(lead, "settle", "--project", "m", "--timeout", "120")
        command.works(lead, "model", "train", "--project", "m", "--by", "lena", "--wait")
        asked = "SELECT uniqExact(item_id) FROM predictions WHERE project = 'm'"
        counted = command.works(prepared.environment("lead", "analyst"), "sql", asked, "--format", "csv")
        assert counted.splitlines()[1] == "40"


@pytest.mark.slow
@pytest.mark.parametrize("worker", ["items", "sink", "retrain"])
def test_a_right_that_is_taken_away_stops_a_worker_at_work(prepared: Secured, worker: str) -> None:
    secured = prepared
    topic = {"items": "labels", "sink": "labels", "retrain": "labels.corrected"}[worker]
    log = secured.home / f"{worker}-revoked.log"
    variables = environment(secured.environment(worker, "sink" if worker == "sink" else ""))
    with log.open("wb") as out:
        asked = [sys.executable, "-m", "streams.cli", "worker", worker]
        process = subprocess.Popen(asked, stdout=out, stderr=out, cwd=ROOT, env=variables)
    try:
        started = {"items": "partitions assigned", "sink": "are ours", "retrain": "owns the projects"}[worker]
        eventually(lambda: started in log.read_text(), "the worker's partitions", 60)
        with secured.without(worker, topic):
            assert process.wait(90) == STOP_FOR_GOOD, log.read_text()
        assert "docs/security.md" in log.read_text().splitlines()[-1]
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()

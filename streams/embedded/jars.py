"""The broker's jars: exactly those of `jars.lock`, downloaded once by jgo and verified before every start.

Run as a module it resolves the dependencies of a version anew and prints its lock file. `LABELLOOP_KAFKA_JARS` names
another lock file: that is how the tests run against older brokers.
"""

import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from streams.errors import LabelloopError

KAFKA_VERSION = "4.3.1"
LOCK = "LABELLOOP_KAFKA_JARS"
_OWN_LOCK = Path(__file__).with_name("jars.lock")
_BROKER = "kafka_2.13"
# slf4j-simple, because adding log4j's binding resolves another kafka-clients: its parent manages that version
_ENDPOINT = "org.apache.kafka:{broker}:{version}+org.slf4j:slf4j-simple:1.7.36"
_COMMENT = """\
# The embedded broker's jars: sha256, Maven coordinate. Nothing else is ever on its class path.
# Written by `python -m streams.embedded.jars {version}`, which resolves {broker}:{version} and slf4j-simple:1.7.36
# anew.
"""


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar as the lock file names it."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Return its name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def cache_directory(environ: Mapping[str, str] | None = None) -> Path:
    """Return where downloads are kept: `$XDG_CACHE_HOME/labelloop`, else `~/.cache/labelloop`."""
    env = os.environ if environ is None else environ
    return Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "labelloop"


def parse_lock(text: str) -> tuple[Jar, ...]:
    """Read a lock file: lines of `sha256  group:artifact:version`, `#` starts a comment line."""
    jars = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            sha256, coordinate = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return tuple(jars)


def locked() -> tuple[Jar, ...]:
    """Return the jars of the lock file that counts.

    Raises:
        LabelloopError: it cannot be read, or has no broker.
    """
    file = Path(os.environ.get(LOCK) or _OWN_LOCK)
    try:
        found = parse_lock(file.read_text())
    except (OSError, ValueError) as error:
        raise LabelloopError(f"{file} is no lock file of jars ({error}): see {LOCK}") from error
    if not any(jar.artifact == _BROKER for jar in found):
        raise LabelloopError(f"{file} names no {_BROKER}: see {LOCK}")
    return found


def _folder(cache: Path, jars: tuple[Jar, ...]) -> Path:
    """Return where the jars of one broker are kept: another version's have a folder of their own."""
    return cache / f"kafka-{next((jar.version for jar in jars if jar.artifact == _BROKER), KAFKA_VERSION)}"


def are_cached() -> bool:
    """Return whether a start needs no download."""
    wanted = locked()
    folder = _folder(cache_directory(), wanted)
    return all((folder / jar.file_name).exists() for jar in wanted)


def class_path(cache: Path | None = None, jars: tuple[Jar, ...] | None = None) -> str:
    """Return the broker's class path; what is missing in the cache is downloaded, and every jar is verified.

    Raises:
        LabelloopError: a jar cannot be downloaded, or its hash is not the one of the lock file.
    """
    wanted = locked() if jars is None else jars
    folder = _folder(cache or cache_directory(), wanted)
    missing = [jar for jar in wanted if not (folder / jar.file_name).exists()]
    if missing:
        _download(missing, folder)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda jar: verify(folder / jar.file_name, jar), wanted))
    return os.pathsep.join(str(folder / jar.file_name) for jar in wanted)


def verify(file: Path, jar: Jar) -> None:
    """Compare a file with the lock.

    Raises:
        LabelloopError: it is another file than the one that was locked.
    """
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != jar.sha256:
        raise LabelloopError(
            f"{file} is not the {jar.artifact} {jar.version} that jars.lock names (sha256 {found[:12]}…, expected "
            f"{jar.sha256[:12]}…): delete that file and start again to download it afresh"
        )


def _download(jars: list[Jar], folder: Path) -> None:
    """Fetch jars beside the cache and move them in one by one, verified: a broken download never enters it."""
    from jgo.maven import MavenContext  # slow to import and needed once

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch, ThreadPoolExecutor(8) as pool:
        maven = MavenContext(repo_cache=Path(scratch), timeout=30)

        def fetch(jar: Jar) -> None:
            try:
                file = maven.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            except (RuntimeError, OSError) as error:
                raise LabelloopError(
                    f"cannot download {jar.artifact} {jar.version} from Maven Central ({error}): "
                    "check the network and start again"
                ) from error
            verify(file, jar)
            file.replace(folder / jar.file_name)

        list(pool.map(fetch, jars))


def resolve(version: str) -> str:
    """Resolve a broker's dependencies anew and return the text of a lock file; takes about 20 s."""
    from jgo import build

    endpoint = _ENDPOINT.format(broker=_BROKER, version=version)
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["M2_REPO"] = scratch  # the coordinates are read off the repository's paths
        names = {Path(jar).name for jar in build(endpoint, cache_dir=Path(scratch, "envs")).all_jars}
        lines = []
        for file in Path(scratch).rglob("*.jar"):
            *group, artifact, number, name = file.relative_to(scratch).parts
            if name in names and group[0] != "envs":
                lines.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {'.'.join(group)}:{artifact}:{number}")
    comment = _COMMENT.format(broker=_BROKER, version=version)
    return comment + "\n".join(sorted(lines, key=lambda line: line.split()[1]))


if __name__ == "__main__":
    print(resolve(sys.argv[1] if len(sys.argv) > 1 else KAFKA_VERSION))

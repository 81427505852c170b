"""The long form: libFuzzer guides the inputs by what they reach in our code; a process for each decoder.

`python -m tests.fuzz --runs N` divides N inputs over all decoders and tells how many each got. An input that escapes
is written to `tests/fuzz/corpus/DECODER`, where the tests meet it again.
"""

import argparse
import os
import re
import sys
import tempfile
from functools import partial
from pathlib import Path

import atheris

# imported here, once, because to instrument takes longer than to fuzz; each decoder's process is a fork
with atheris.instrument_imports(include=["streams", "workers"]):
    from tests.fuzz.decoders import CORPUS, DECODERS, attempt, seeds

_MAX_BYTES = 512
"""Longer inputs reach nothing more, and a file of a thousand lines takes a second to refuse."""

_DICTIONARY = CORPUS.parent / "json.dict"


def main() -> int:
    """Fuzz all decoders; return 1 where an input escaped."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="Inputs over all decoders.")
    parser.add_argument("--seed", type=int, default=1, help="Seed of libFuzzer.")
    given = parser.parse_args()
    shares, total, escaped = sum(one.share for one in DECODERS.values()), 0, 0
    for name, decoder in DECODERS.items():
        done, why = _fuzzed(name, -(-given.runs * decoder.share // shares), given.seed)
        total += done
        escaped += why is not None
        print(f"{name:18} {done:>10,} inputs  {why or 'none escaped'}", flush=True)
    print(f"{'all':18} {total:>10,} inputs  {escaped} of {len(DECODERS)} decoders let one escape")
    return 1 if escaped else 0


def _fuzzed(name: str, runs: int, seed: int) -> tuple[int, str | None]:
    """Return the number of inputs that were tried, and what escaped."""
    with tempfile.TemporaryDirectory(prefix="labelloop-fuzz-") as folder:
        told, corpus = Path(folder) / "told", Path(folder) / "corpus"
        corpus.mkdir()
        for n, content in enumerate(seeds(name)):
            (corpus / f"seed-{n:03}").write_bytes(content)
        child = os.fork()
        if not child:
            _fuzz(name, [f"-runs={runs}", f"-seed={seed}", str(corpus)], told)
        os.waitpid(child, 0)
        text = told.read_text(errors="replace")
    if done := re.search(r"^Done (\d+) runs", text, re.MULTILINE):
        return int(done[1]), None
    met = re.findall(r"^#(\d+)", text, re.MULTILINE)
    raised = re.search(r"Uncaught Python exception: ===\s*(.*)", text)
    return int(met[-1]) if met else 0, f"escaped: {raised[1] if raised else text.strip()[-500:]}"


def _fuzz(name: str, options: list[str], told: Path) -> None:
    """Fuzz one decoder and leave the process, as libFuzzer does; what it tells goes to a file."""
    with told.open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    fixed = [f"-max_len={_MAX_BYTES}", "-timeout=20", f"-dict={_DICTIONARY}", f"-artifact_prefix={kept}/"]
    atheris.Setup([sys.argv[0], *fixed, *options], partial(attempt, name))
    atheris.Fuzz()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())

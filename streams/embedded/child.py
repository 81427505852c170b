"""Child processes that die with their parent, even when the parent is killed with SIGKILL.

The command is started by this file run as a script: on Linux it asks the kernel to be killed when its parent ends
and then becomes the command; elsewhere it stays between the two and watches a pipe that the parent's end closes.
Only the standard library is imported, so that the detour costs about 20 ms.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def spawn(command: Sequence[str], log: Path | None, env: Mapping[str, str], cwd: Path) -> "subprocess.Popen[bytes]":
    """Start a command whose output is appended to a log file, None: goes where that of this process goes.

    It gets a session of its own: Ctrl-C in the terminal reaches the parent alone, which stops its children in order.

    Raises:
        RuntimeError: the caller is not the main thread; the kernel ties a child's life to the thread that forked it.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("children are started by the main thread: they die with the thread that started them")
    wrapper = [sys.executable, "-S", "-E", __file__, str(os.getpid())]
    stdin = subprocess.DEVNULL if sys.platform == "linux" else subprocess.PIPE
    with contextlib.nullcontext() if log is None else log.open("ab") as out:
        return subprocess.Popen(
            [*wrapper, *command], stdin=stdin, stdout=out, stderr=out, env=env, cwd=cwd, start_new_session=True
        )


def stop(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Do as `stop_all` does, with one child."""
    stop_all([process], seconds)


def stop_all(processes: "Sequence[subprocess.Popen[bytes]]", seconds: float) -> None:
    """Ask children of `spawn` to end, wait so many seconds for all, kill what is left; return when they are gone."""
    for process in processes:
        process.terminate()  # does nothing to one that has ended
    limit = time.monotonic() + seconds
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, limit - time.monotonic()))
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill what is left of a child of `spawn` and of its own children; return when the child is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def last_lines(log: Path, count: int = 15) -> str:
    """Return the end of a log file, indented, to be shown below an error."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return "  (no log)"
    return "\n".join(f"  {line}" for line in lines[-count:]) or "  (empty log)"


def _become(parent: int, command: Sequence[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(1)
    os.execvp(command[0], list(command))


def _watch(command: Sequence[str]) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def kill_with_parent() -> None:
        os.read(0, 1)  # returns when the parent's end of the pipe is closed
        child.kill()

    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    threading.Thread(target=kill_with_parent, daemon=True).start()
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    if sys.platform == "linux":
        _become(int(sys.argv[1]), sys.argv[2:])
    else:
        sys.exit(_watch(sys.argv[2:]))

"""Ports of the local servers: chosen once, free at that time, and remembered in the data directory."""

import json
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

LOCALHOST = "127.0.0.1"
PORTS_FILE = "ports.json"


def choose(
    names: Sequence[str], remembered: dict[str, int], is_free: Callable[[int], bool], new: Callable[[], int]
) -> dict[str, int]:
    """Return a port for every name: the remembered one if it is free, else a new one; no port twice."""
    chosen: dict[str, int] = {}
    for name in names:
        port = remembered.get(name)
        while port is None or port in chosen.values() or not is_free(port):
            port = new()
        chosen[name] = port
    return chosen


def assign(home: Path, names: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Choose and remember the ports of a data directory.

    Returns:
        The ports by name, and one line for each remembered port that had been taken by another process.
    """
    file = home / PORTS_FILE
    remembered: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    chosen = choose(names, remembered, _is_free, _new)
    file.write_text(json.dumps(remembered | chosen, indent=2))
    moved = [
        f"port {remembered[name]} of {name} is taken by another process: using {port} from now on"
        for name, port in chosen.items()
        if remembered.get(name, port) != port
    ]
    return chosen, moved


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of the last run that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOCALHOST, port))
        except OSError:
            return False
    return True


def _new() -> int:
    with socket.socket() as probe:
        probe.bind((LOCALHOST, 0))
        port: int = probe.getsockname()[1]
    return port

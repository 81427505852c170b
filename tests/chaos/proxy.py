"""A TCP proxy between each client and each server, whose connections can be cut, delayed, or left open and dead.

`delay` holds up both ways, `late` the answers alone: the server has done what the client does not hear of.
"""

import asyncio
import contextlib
import threading
from typing import Literal

from streams.embedded.ports import LOCALHOST

Mode = Literal["pass", "drop", "delay", "late", "half-open"]

DELAY_S = 0.4
_CHUNK = 1 << 16


class _Route:
    """One listening port.

    Args:
        upstream: Port of the server.
    """

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self.mode: Mode = "pass"
        self._open: set[asyncio.StreamWriter] = set()

    def enter(self, mode: Mode) -> None:
        """Treat connections otherwise; what has lost bytes, or must not go on, is cut."""
        if mode == "drop" or self.mode == "half-open":
            self.cut()
        self.mode = mode

    def cut(self) -> None:
        """Break off all connections."""
        for writer in self._open:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what a client and the server say to each other."""
        both = [writer]
        try:
            if self.mode == "drop":
                return
            self._open.add(writer)
            if self.mode == "half-open":
                await self._pass(reader, writer)  # swallows it until the connection is cut
                return
            with contextlib.suppress(OSError):
                other, server = await asyncio.open_connection(LOCALHOST, self._upstream)
                both.append(server)
                self._open.add(server)
                ways = [
                    asyncio.create_task(self._pass(reader, server)),
                    asyncio.create_task(self._pass(other, writer, is_answer=True)),
                ]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
        finally:
            for one in both:
                self._open.discard(one)
                one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_answer: bool = False) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK):
                if self.mode == "delay" or (self.mode == "late" and is_answer):
                    await asyncio.sleep(DELAY_S)
                if self.mode != "half-open":
                    writer.write(data)
                    await writer.drain()


class Proxies:
    """All proxies of a run, served by one thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._routes: dict[int, _Route] = {}
        self._servers: list[asyncio.Server] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def add(self, port: int, upstream: int) -> None:
        """Listen on a port of this machine and pass on to another one."""
        route = self._routes[port] = _Route(upstream)
        listening = asyncio.start_server(route.serve, LOCALHOST, port)
        self._servers.append(asyncio.run_coroutine_threadsafe(listening, self._loop).result(10))

    def enter(self, port: int, mode: Mode) -> None:
        """Treat the connections of a port otherwise from now on."""
        self._loop.call_soon_threadsafe(self._routes[port].enter, mode)

    def close(self) -> None:
        """Cut everything and end the thread."""

        async def end() -> None:
            for server in self._servers:
                server.close()
            for route in self._routes.values():
                route.cut()
            mine = asyncio.all_tasks() - {asyncio.current_task()}
            for task in mine:
                task.cancel()
            await asyncio.gather(*mine, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

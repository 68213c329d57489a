"""Connections between processes of a fleet and its services, which can be silenced, cut and slowed down.

Invariant: a link changes when bytes arrive, and never which: what comes through is what was sent, in its order.
"""

import asyncio
import socket
import struct
import threading

CHUNK = 1 << 16


class Network:
    """All links, in a thread of their own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def link(self, target):
        """A link to an address (host, port) or to a socket's path."""
        link = Link(self, target)
        link.port = self.call(link.listen())
        return link


class Link:
    def __init__(self, network, target):
        self.network, self.target = network, target
        self.passes, self.is_cut, self.delay = asyncio.Event(), False, 0.0
        self.passes.set()
        self.writers = set()

    def silence(self):
        """Nothing arrives any more, and nobody is told: a cable that was pulled out."""
        self.network.call(self.set(passes=False))

    def cut(self):
        """Connections are reset, and new ones are, too: a service that is gone."""
        self.network.call(self.set(is_cut=True))

    def slow(self, seconds):
        """All takes so much longer, each way."""
        self.network.call(self.set(delay=seconds))

    def heal(self):
        """What was silenced arrives now, late."""
        self.network.call(self.set())

    async def set(self, passes=True, is_cut=False, delay=0.0):
        self.is_cut, self.delay = is_cut, delay
        if is_cut:
            for writer in list(self.writers):
                reset(writer)
        if passes:
            self.passes.set()
        else:
            self.passes.clear()

    async def listen(self):
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.server = server
        return server.sockets[0].getsockname()[1]

    async def accept(self, reader, writer):
        if self.is_cut:
            reset(writer)
            return
        self.writers.add(writer)
        try:
            await self.passes.wait()
            if isinstance(self.target, str):
                there, back = await asyncio.open_unix_connection(self.target)
            else:
                there, back = await asyncio.open_connection(*self.target)
        except OSError:
            reset(writer)
            self.writers.discard(writer)
            return
        self.writers.add(back)
        await asyncio.gather(self.carry(reader, back), self.carry(there, writer))
        self.writers -= {writer, back}

    async def carry(self, reader, writer):
        try:
            while data := await reader.read(CHUNK):
                await self.passes.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
            await self.passes.wait()
        except OSError:
            pass
        writer.close()


def reset(writer):
    connection = writer.get_extra_info("socket")
    if connection and connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()

"""Rules of HTTP broken for harm: floods of frames, of parts and of heads, on many connections."""

import contextlib
import os
import select
import struct
import time

from .harness import MB, attack, check, read_all, until
from .http2 import PREFACE, ask_and_never_read, frame, literal, request_head

SETTINGS = PREFACE + frame(4, 0, 0, b"")


def cpu(server):
    """Seconds of computing that the server has had."""
    with open(f"/proc/{server.process.pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pour(server, parts, reads, most=4 * MB, seconds=1):
    """Send parts until the server ends the connection, has had `most` bytes, or takes no more; gives how many bytes it took."""
    sent, end = 0, time.monotonic() + seconds
    with contextlib.suppress(OSError), server.connect(timeout=0.5) as connection:
        for part in parts:
            connection.sendall(part)
            sent += len(part)
            if sent > most or time.monotonic() > end:
                break
            if reads and select.select([connection], [], [], 0)[0] and not connection.recv(1 << 16):
                break
    return sent


def flood(frames):
    """The preface, and then the same frames, which get the number of a new stream, without end."""
    yield SETTINGS
    stream = 1
    while stream < 1 << 30:
        batch = b""
        for _ in range(100):
            batch += frames(stream)
            stream += 2
        yield batch


def endless(first, rest):
    yield SETTINGS + first
    while True:
        yield rest * 64


def bomb_of_heads():
    """An entry of 4,000 bytes in the table of HPACK, named thousands of times in each head."""
    yield SETTINGS
    entry = b"\x40" + bytes([1]) + b"x" + b"\x7f" + bytes([0xA1, 0x1E]) + b"v" * 4000
    for stream in range(1, 20_000, 2):
        head = request_head(b"/healthz", b"GET") + (entry if stream == 1 else b"") + b"\xbe" * 12_000
        yield frame(1, 5, stream, head)


GET, POST = request_head(b"/healthz", b"GET"), request_head(b"/v1/text-to-image")
JOB = b'{"prompt": "x", "steps": 500}'
FLOODS = {
    "resets": lambda: flood(lambda s: frame(1, 5, s, GET) + frame(3, 0, s, struct.pack(">I", 8))),
    "resets of jobs": lambda: flood(
        lambda s: frame(1, 4, s, POST) + frame(0, 1, s, JOB) + frame(3, 0, s, struct.pack(">I", 8))
    ),
    # The server resets them, for a window that grows by nothing.
    "resets that the server makes": lambda: flood(lambda s: frame(1, 4, s, POST) + frame(8, 0, s, bytes(4))),
    "streams beyond the limit": lambda: flood(lambda s: frame(1, 4, s, POST)),
    "heads that go on": lambda: endless(frame(1, 0, 1, GET), frame(9, 0, 1, literal(b"x", b"y") * 100)),
    "heads that go on with nothing": lambda: endless(frame(1, 0, 1, GET), frame(9, 0, 1, b"")),
    "a bomb of heads": bomb_of_heads,
    "settings": lambda: endless(b"", frame(4, 0, 0, struct.pack(">HI", 4, 65535))),
    "pings": lambda: endless(b"", frame(6, 0, 0, bytes(8))),
    "priorities": lambda: flood(lambda s: frame(2, 0, s, struct.pack(">IB", s - 1, 1))),
    "data of no bytes": lambda: endless(frame(1, 4, 1, POST), frame(0, 0, 1, b"")),
    "padding alone": lambda: endless(frame(1, 4, 1, POST), frame(0, 8, 1, b"\xff" + bytes(255))),
    "windows by one": lambda: endless(frame(1, 4, 1, POST), frame(8, 0, 1, struct.pack(">I", 1))),
    "frames of no known kind": lambda: endless(b"", frame(77, 0, 0, bytes(1000))),
}


@attack(quick=True)
def floods_of_frames(server):
    """Each kind on a connection that reads and on one that does not: little memory, little computing, others are served."""
    server.ask("POST", "/v1/text-to-image", {"prompt": "x", "steps": 1}, timeout=60)
    for name, parts in FLOODS.items():
        before, busy = server.rss(), cpu(server)
        sent = [pour(server, parts(), reads) for reads in (True, False)]
        spent, grown = cpu(server) - busy, server.rss() - before
        server.is_alive()
        check(grown < 60, f"{name}: {before} MB grew by {grown} MB, for {sent} bytes")
        check(spent < 6, f"{name}: {spent:.1f} s of computing for {sent} bytes")
        if os.environ.get("VERBOSE"):
            print(f"  {name}: {[f'{size / MB:.2f} MB' for size in sent]}, {spent:.2f} s, {grown} MB")
    until("no job is left", lambda: server.metric("kandinsky_samples_in_flight") == 0, 20)


@attack(quick=True)
def windows_of_nothing(server):
    """20 connections with 200 requests each, none of which takes a byte of its response."""
    before = server.rss()
    deaf = []
    for path in [b"/openapi.json", b"/v1/capabilities", b"/metrics", b"/"] * 5:
        with contextlib.suppress(OSError):
            deaf.append(ask_and_never_read(server, path, 200, source="127.0.7.1"))
    time.sleep(3)
    server.is_alive()
    status, _, _ = server.ask("GET", "/openapi.json", timeout=10)
    check(status == 200, f"another client is answered {status}")
    grown = server.rss() - before
    for connection in deaf:
        connection.close()
    check(grown < 200, f"{before} MB grew by {grown} MB")
    until("it is given back", lambda: server.metric("kandinsky_responses_in_flight_bytes") < MB, 20)


def head(server, more, method="POST", path="/v1/text-to-image"):
    line = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
    return (line + more + "\r\n").encode()


@attack(quick=True)
def bodies_in_odd_parts(server):
    """Chunks of a byte, trailers and extensions without end, many requests at once, announcements that nothing follows."""
    before, busy = server.rss(), cpu(server)
    chunked = head(server, "Transfer-Encoding: chunked\r\n")
    pipelined = f"GET /v1/styles HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode()
    again = lambda first, rest, times: [first] + [rest] * times
    floods = {
        "chunks of a byte": again(chunked, b"1\r\n \r\n" * 10_000, 20),
        "trailers": again(chunked + b"0\r\n", b"X-Trailer: y\r\n" * 1000, 600),
        "one long trailer": again(chunked + b"0\r\nX-Trailer: ", b"y" * 60_000, 200),
        "an extension": again(chunked + b"1;", b"e=f;" * 10_000, 200),
        "a long size": again(chunked, b"0" * 60_000, 200),
        "requests at once": again(b"", pipelined * 1000, 100),
        "a head": again(b"GET / HTTP/1.1\r\nX: ", b"y" * 60_000, 200),
        "blank lines": again(b"", b"\r\n" * 30_000, 200),
    }
    for name, parts in floods.items():
        for reads in (True, False):
            sent = pour(server, parts, reads)
            server.is_alive()
            check(server.rss() - before < 150, f"{name}: {before} MB grew to {server.rss()} MB, for {sent} bytes")
    waiting = []
    for _ in range(300):
        connection = server.connect(source="127.0.7.2")
        connection.sendall(head(server, "Content-Length: 33554432\r\nExpect: 100-continue\r\n"))
        waiting.append(connection)
    status, _, _ = server.ask("POST", "/v1/text-to-image", {}, timeout=10)
    check(status == 422, f"another client is answered {status}")
    for connection in waiting:
        connection.close()
    check(cpu(server) - busy < 30, f"{cpu(server) - busy:.1f} s of computing")
    for more, wanted in [("Content-Encoding: gzip\r\n", 415), ("Content-Length: 99999999999999\r\n", 413), ("Range: bytes=0-,0-\r\n", 422)]:
        with server.connect() as connection:
            length = "" if "Length" in more else "Content-Length: 2\r\n"
            connection.sendall(head(server, f"{more}{length}Connection: close\r\n") + b"{}")
            answer = read_all(connection)
            check(answer.split()[1:2] == [str(wanted).encode()], f"{more!r} is answered {answer[:60]!r}")
    # Of a chunk of a byte, what was sent is read to its end: some microseconds each.
    until("all is given back", lambda: server.metric("kandinsky_request_bodies_in_flight_bytes") == 0, 60)

"""What strangers do with connections, bodies and answers."""

import contextlib
import json
import socket
import threading
import time

from .harness import ASYNC, MB, Server, attack, check, parse, read_all, until
from .http2 import H2Sender


@attack(quick=True)
def bodies_of_http2_without_a_length(server):
    """60 bodies of 30 MB each that never end and never say how long they are."""
    before = server.rss()
    sender = H2Sender(server, 60, 30 * MB)
    sender.start()
    peak = server.peak(5)
    held = server.metric("kandinsky_request_bodies_in_flight_bytes")
    server.is_alive()
    sender.connection.close()
    check(held > 0 or sender.sent < MB, "the bodies are not counted")
    check(peak - before < 350, f"{before} MB grew to {peak} MB")
    until("the bodies are given back", lambda: server.metric("kandinsky_request_bodies_in_flight_bytes") == 0, 20)


@attack(quick=True)
def slow_bodies(server):
    """Many announce 32 MB and send next to nothing."""
    head = f"POST /v1/text-to-image HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
    lengths = ["Content-Length: 33554432\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"]
    slow = [server.connect() for _ in range(100)]
    for i, connection in enumerate(slow):
        connection.sendall((head + lengths[i % 2]).encode())
    started = time.monotonic()
    status, _, _ = server.ask("POST", "/v1/text-to-image", {})
    took = time.monotonic() - started
    check(status == 422 and took < 5, f"another client is answered {status} after {took:.1f} s")
    for connection in slow:
        connection.close()


@attack(quick=False)
def bodies_that_drip(server):
    """One byte each 5 seconds."""
    drips = server.connect()
    head = f"POST /v1/text-to-image HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
    drips.sendall((head + "Content-Length: 33554432\r\n\r\n").encode())
    drips.settimeout(5)
    answer, started = b"", time.monotonic()
    while not answer and time.monotonic() - started < 60:
        drips.sendall(b" ")
        with contextlib.suppress(TimeoutError):
            answer = drips.recv(4096)
    check(answer.startswith(b"HTTP/1.1 408"), f"it is answered {answer[:40]!r}")


@attack(quick=False)
def clients_that_never_read(server):
    """Jobs with long prompts, listed by 300 clients that do not read."""
    emoji = "\U0001f600" * 4000
    body = {"prompt": emoji, "negative_prompt": emoji, "negative_prior_prompt": emoji, "steps": 1}
    for _ in range(60):
        status, _, answer = server.ask("POST", "/v1/text-to-image", body, ASYNC)
        if status != 202:
            break
        server.ask("POST", f"/v1/jobs/{json.loads(answer)['id']}/cancel")
    before = server.rss()
    deaf = []
    for _ in range(300):
        connection = server.connect(receive_buffer=4096)
        connection.sendall(b"GET /v1/jobs?limit=100 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        deaf.append(connection)
    peak = server.peak(10)
    server.is_alive()
    check(peak - before < 350, f"{before} MB grew to {peak} MB")
    until("they are disconnected", lambda: server.metric("kandinsky_responses_in_flight_bytes") < MB, 60)


@attack(quick=False)
def streams_of_images_nobody_reads(server):
    """The finished images of one job, asked for as a stream 200 times."""
    body = {"prompt": "red heart", "n": 4, "size": "2048x2048", "steps": 1, "stream": True}
    key = "Idempotency-Key: stream\r\n"
    status, _, answer = server.ask("POST", "/v1/images/generations", body, key, timeout=60)
    check(status == 200 and answer.count(b"event: image_generation.completed") == 4, f"{status} {answer[:200]!r}")
    size, before = len(answer) // MB, server.rss()
    deaf = []
    for _ in range(200):
        connection = server.connect(receive_buffer=4096)
        connection.sendall(server.request("POST", "/v1/images/generations", body, key))
        deaf.append(connection)
    peak = server.peak(15)
    server.is_alive()
    for connection in deaf:
        connection.close()
    check(peak - before < 200, f"{before} MB grew to {peak} MB, of streams of {size} MB")


@attack(quick=True)
def listeners_take_all_connections(server):
    """4200 streams of events by one client."""
    listeners = []
    for i in range(4200):
        with contextlib.suppress(OSError):
            connection = server.connect(timeout=5)
            connection.sendall(b"GET /v1/jobs/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            listeners.append(connection)
        if i % 700 == 0:
            server.is_alive()
    server.is_alive()
    status, _, _ = server.ask("GET", "/readyz", timeout=5)
    check(status == 200, f"/readyz answers {status}")
    streams = server.metric("kandinsky_event_streams_open")
    check(streams <= 300, f"one client has {streams} streams")
    for connection in listeners:
        connection.close()


@attack(quick=True)
def silent_connections(server):
    """5000 connections that say nothing."""
    silent = []
    for _ in range(5000):
        with contextlib.suppress(OSError):
            silent.append(server.connect(timeout=2))
    server.is_alive()
    for connection in silent:
        connection.close()


@attack(quick=True)
def half_closed_requests(server):
    """A client that closes its half gets its answer; one that is gone does not keep its job."""
    for path in ["/healthz", "/v1/styles"]:
        with server.connect() as half:
            half.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            half.shutdown(socket.SHUT_WR)
            status, _, _ = parse(read_all(half))
            check(status == 200, f"{path} answers {status}")
    body = json.dumps({"prompt": "red heart", "steps": 500, "width": 256, "height": 256}).encode()
    head = f"POST /v1/text-to-image HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
    with server.connect() as gone:
        gone.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(1)
    def idle():
        _, _, answer = server.ask("GET", "/v1/jobs?status=running")
        return not json.loads(answer)["data"]
    until("the job of a client that is gone is canceled", idle, 10)


@attack(quick=True)
def what_the_parser_refuses(server):
    """Requests that are none: each is counted."""
    before = server.metric("kandinsky_parser_refusals_total")
    many = "".join(f"X-{i}: 1\r\n" for i in range(101))
    probes = [b"GET / HTTP/9.9\r\n\r\n", f"GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n".encode(), b"\x16\x03\x01\x02\x00\x01\x00"]
    for probe in probes:
        with server.connect() as connection:
            connection.sendall(probe + b"\r\n\r\n")
            read_all(connection)
    counted = server.metric("kandinsky_parser_refusals_total") - before
    check(counted >= len(probes), f"{counted} of {len(probes)} are counted")
    server.is_alive()


@attack(quick=True)
def readiness_in_a_loop(server):
    """/readyz asks the stores at most once a second."""
    before = server.metric("kandinsky_store_operation_duration_seconds_count{op=\"ping\"}")
    started = time.monotonic()
    for _ in range(500):
        server.ask("GET", "/readyz")
    asked = server.metric("kandinsky_store_operation_duration_seconds_count{op=\"ping\"}") - before
    check(asked <= time.monotonic() - started + 2, f"the database was asked {asked} times")


@attack(quick=False)
def idle_connections(server):
    """A connection is kept for longer than proxies keep theirs."""
    with server.connect() as connection:
        for pause in [0, 15, 62]:
            time.sleep(pause)
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            check(connection.recv(4096).startswith(b"HTTP/1.1 200"), f"closed after {pause} s")


@attack(quick=False)
def many_prompts(server):
    """Each is another one: what is kept of them is bounded."""
    server.ask("POST", "/v1/text-to-image", {"prompt": "x", "steps": 1, "prior": {"steps": 1}})
    before = server.rss()
    for i in range(150):
        body = {"prompt": f"red heart number {i}", "negative_prompt": f"{i}", "steps": 1, "prior": {"steps": 1}}
        server.ask("POST", "/v1/text-to-image", body)
    after = server.rss()
    check(after - before < 100, f"{before} MB grew to {after} MB")


@attack(quick=False)
def memory_after_bursts(server):
    """Three bursts of 8 bodies of 30 MB each: memory comes back."""
    before = server.rss()
    body = b'{"prompt": "' + b"a" * (30 * MB) + b'"}'
    answers = []

    def send():
        with contextlib.suppress(OSError):
            answers.append(server.ask("POST", "/v1/text-to-image", body, timeout=60)[0])

    for _ in range(3):
        threads = [threading.Thread(target=send) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check(len(answers) == 24 and set(answers) <= {422, 503}, f"the answers are {answers}")
    until(f"within 100 MB of {before} MB", lambda: server.rss() - before < 100, 30)


@attack(quick=True, own_server=True)
def keys_that_are_refused():
    """2000 made-up keys: refused, told about in a few lines, remembered by nothing; two keys in one request are none."""
    server = Server(auth__required="always")
    try:
        key = lambda i: f"Authorization: Bearer kd_{i:012x}_{'x' * 43}\r\n"
        server.ask("GET", "/v1/jobs", headers=key(0))
        before = server.rss()
        with server.connect() as connection:
            for i in range(2000):
                request = f"GET /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n{key(i)}\r\n"
                connection.sendall(request.encode())
                answer = connection.recv(1 << 16)
                check(b" 401 " in answer[:20], f"it is answered {answer[:60]!r}")
        lines, grown = len(server.log().splitlines()), server.rss() - before
        check(lines < 150, f"{lines} lines in the log")
        check(grown < 30, f"{before} MB grew by {grown} MB")
        status, _, _ = server.ask("GET", "/v1/jobs", headers=key(1) + key(2))
        check(status == 400, f"two keys are answered {status}")
        for path in ["/metrics", "/v1/jobs/events", "/sdapi/v1/progress", "/v1/models", "/sdapi/v1/options"]:
            check(server.ask("GET", path)[0] == 401, f"{path} needs no key")
        for path in ["/", "/models/x", "/v1/images/edits", "/sdapi/v1/txt2img", "/v1/moderations"]:
            status, _, _ = server.ask("POST", path, b"{" * 100_000)
            check(status == 401, f"{path} is answered {status} without a key")
    finally:
        server.stop()

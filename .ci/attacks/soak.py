"""Everything at once, for minutes, within 1.5 GB: the process stays, answers, and gives its memory back.

SOAK_SECONDS says for how long (default: 150).
"""

import base64
import contextlib
import http.server
import json
import os
import random
import socket
import threading
import time

from . import files
from .harness import ASYNC, MB, Cage, Failed, Server, attack, check, read_all, until
from .http2 import H2Sender, ask_and_never_read
from .prober import Prober, summary

LIMIT = 1500 * MB
GROWTH = 100
EMOJI = "\U0001f600"
KINDS = []
# What is taken for a time, as the metrics have it.
BUDGETS = [
    "kandinsky_request_bodies_in_flight_bytes", "kandinsky_responses_in_flight_bytes", "kandinsky_event_streams_open",
    "kandinsky_queue_cost_used", "kandinsky_samples_in_flight", "kandinsky_jobs_running",
]


def kind(function):
    """One kind of attack: called again and again with a server, a client address and the time when it is over."""
    KINDS.append(function)
    return function


def b64(data):
    return base64.b64encode(data).decode()


def form(parts):
    """A form of (name, file name or None, bytes)."""
    boundary = b"----attack"
    body = b""
    for name, filename, data in parts:
        head = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")
        body += b"--" + boundary + b"\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n"
    return body + b"--" + boundary + b"--\r\n"


FORM = "multipart/form-data; boundary=----attack"


@kind
def bombs_by_number(server, source, over):
    image = b64(files.webp(8192))
    many = [{"image": image}] * 40
    server.ask("POST", "/v1/image-fusion", {"images": many}, source=source)
    server.ask("POST", "/v1/image-fusion", {"images": many[:8]}, source=source)
    server.ask("POST", "/v1/text-image-fusion", {"inputs": many + [{"prompt": "x"}]}, source=source)
    server.ask("POST", "/v1/images/edits", {"prompt": "x", "image": [image] * 40}, source=source)
    server.ask("POST", "/sdapi/v1/img2img", {"prompt": "x", "init_images": [image] * 40}, source=source)
    parts = [("image", "a.webp", files.webp(8192))] * 40
    server.ask("POST", "/v1/image-fusion", form(parts), source=source, media_type=FORM)


@kind
def large_images(server, source, over):
    image = random.choice([
        files.png(8192, 8192, 0, 1), files.png(4096, 4096, 6, 16), files.png(5600, 5600, 2, 16), files.png(8192, 8192),
        files.profile_bomb(), files.jpeg(8192, False), files.jpeg(8192, True), files.webp(5000), files.webp(8192),
    ])
    path = random.choice(["/v1/image-to-image", "/v1/image-variations", "/v1/outpainting"])
    body = {"prompt": "x", "image": b64(image), "steps": 1} | ({"expand": {"left": 8}} if "out" in path else {})
    if "variations" in path:
        del body["prompt"]
    server.ask("POST", path, body, source=source, timeout=60)


@kind
def large_masks(server, source, over):
    image, mask = files.png(2048, 2048), files.png(2048, 2048, 0, 8, value=255)
    body = {"prompt": "x", "image": b64(image), "mask": b64(mask), "steps": 500, "n": 8}
    with server.connect(source=source) as connection:
        connection.sendall(server.request("POST", "/v1/inpainting", body))
        time.sleep(random.random() * 3)


@kind
def images_of_those_who_hang_up(server, source, over):
    body = {"prompt": "x", "image": b64(files.png(8192, 8192, 0, 1)), "steps": 1}
    for _ in range(5):
        with server.connect(source=source) as connection:
            connection.sendall(server.request("POST", "/v1/image-to-image", body))
            time.sleep(0.05)


@kind
def endless_bodies(server, source, over):
    sender = H2Sender(server, 60, 30 * MB, source)
    sender.start()
    time.sleep(5)
    sender.connection.close()
    sender.join(10)


@kind
def large_json(server, source, over):
    n = 30 * MB
    body = random.choice([
        lambda: b'{"prompt": "' + b"a" * n + b'"}',
        lambda: b'{"prompt": "' + b"\\u00e9" * (n // 6) + b'"}',
        lambda: b'{"' + b"k" * n + b'": 1, "' + b"k" * 10 + b'": 2}',
        lambda: b'{"a": [' + b",".join([b'"' + b"x" * 3000 + b'"'] * 9000) + b"]}",
        lambda: b'{"image": "' + b"A" * n + b'", "prompt": "x"}',
        lambda: b'{"image": "data:image/png;base64,' + b"-_%2B" * (n // 5) + b'", "prompt": "x"}',
        lambda: b'{"image": "' + base64.b64encode(files.png(64, 64) + bytes(22 * MB)) + b'", "prompt": "x", "steps": 1}',
        lambda: b'{"images": [{"image": "' + b"A" * (n // 2) + b'"}, {"image": "' + b"A" * (n // 2) + b'"}]}',
    ])()
    path = random.choice(["/v1/text-to-image", "/v1/image-to-image", "/v1/images/edits", "/sdapi/v1/img2img", "/v1/image-fusion"])
    headers = random.choice(["", "Idempotency-Key: x\r\n"])
    server.ask("POST", path, body, headers, source=source, timeout=60)


@kind
def large_forms(server, source, over):
    parts = random.choice([
        lambda: [("image", "a.png", files.png(64, 64) + bytes(30 * MB))],
        lambda: [("image", f"{i}.png", bytes(MB // 2)) for i in range(60)],
        lambda: [("prompt", None, b"a" * 30 * MB)],
        lambda: [("prior", None, b"[" + b"1," * 9000 + b"1]")] * 60,
    ])()
    server.ask("POST", "/v1/image-to-image", form(parts), source=source, media_type=FORM, timeout=60)


@kind
def slow_bodies(server, source, over):
    head = f"POST /v1/text-to-image HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json\r\n"
    slow = [server.connect(source=source) for _ in range(100)]
    for connection in slow:
        connection.sendall((head + "Content-Length: 33554432\r\n\r\n{").encode() + b" " * 100_000)
    for _ in range(5):
        time.sleep(1)
        for connection in slow:
            connection.sendall(b" ")
    for connection in slow:
        connection.close()


def leave_rows(server, source, count):
    text = EMOJI * 4000
    body = {"prompt": text, "negative_prompt": text, "negative_prior_prompt": text, "steps": 1}
    for _ in range(count):
        status, _, answer = server.ask("POST", "/v1/text-to-image", body, ASYNC, source=source)
        if status == 202:
            server.ask("POST", f"/v1/jobs/{json.loads(answer)['id']}/cancel", source=source)


@kind
def long_pages(server, source, over):
    leave_rows(server, source, 10)
    deaf = []
    for _ in range(100):
        connection = server.connect(receive_buffer=4096, source=source)
        connection.sendall(b"GET /v1/jobs?limit=100 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        deaf.append(connection)
    deaf += [ask_and_never_read(server, b"/v1/jobs?limit=100", 100, source) for _ in range(2)]
    time.sleep(8)
    for connection in deaf:
        connection.close()


@kind
def answers_nobody_reads(server, source, over):
    body = {"prompt": "red heart", "steps": 1, "n": 8, "width": 256, "height": 256, "output_format": "png"}
    deaf = []
    for _ in range(8):
        connection = server.connect(receive_buffer=4096, source=source)
        connection.sendall(server.request("POST", "/v1/text-to-image", body))
        deaf.append(connection)
    time.sleep(5)
    for connection in deaf:
        connection.close()


@kind
def events_nobody_reads(server, source, over):
    body = {"prompt": "x", "steps": 100, "preview_interval": 1, "width": 128, "height": 128}
    _, _, answer = server.ask("POST", "/v1/text-to-image", body, ASYNC, source=source)
    with contextlib.suppress(ValueError, KeyError):
        job = json.loads(answer)["id"]
        deaf = []
        for i in range(200):
            connection = server.connect(receive_buffer=4096, source=source)
            path = "/v1/jobs/events" if i % 2 else f"/v1/jobs/{job}/events"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            deaf.append(connection)
        time.sleep(5)
        for connection in deaf:
            connection.close()
        server.ask("DELETE", f"/v1/jobs/{job}", source=source)


@kind
def streams_nobody_reads(server, source, over):
    body = {"prompt": "red heart", "n": 4, "size": "512x512", "steps": 1, "stream": True, "partial_images": 3}
    deaf = []
    for _ in range(20):
        connection = server.connect(receive_buffer=4096, source=source)
        key = f"Idempotency-Key: {source}\r\n"
        connection.sendall(server.request("POST", "/v1/images/generations", body, key))
        deaf.append(connection)
        time.sleep(0.2)
    time.sleep(4)
    for connection in deaf:
        connection.close()


@kind
def other_doors(server, source, over):
    """What other APIs take, as large as it may be."""
    image = b64(files.png(64, 64) + bytes(20 * MB))
    large = b64(files.webp(5000))
    server.ask("POST", "/models/x", {"inputs": image, "parameters": {"prompt": "x"}}, source=source, timeout=60)
    body = {"init_images": [large] * 3, "mask": large, "prompt": "x", "steps": 1, "n_iter": 100, "batch_size": 100}
    server.ask("POST", "/sdapi/v1/img2img", body, source=source, timeout=60)
    parts = [("image[]", f"{i}.webp", files.webp(8192)) for i in range(16)] + [("prompt", None, b"x")]
    server.ask("POST", "/v1/images/edits", form(parts), source=source, media_type=FORM, timeout=60)
    link = {"type": "image_url", "image_url": {"url": "data:image/webp;base64," + large}}
    server.ask("POST", "/v1/moderations", {"input": [link] * 30}, source=source, timeout=60)
    body = {"prompt": "\u043a\u043e\u0442 " * 7000, "translate": "always", "steps": 1}
    server.ask("POST", "/v1/text-to-image", body, source=source, timeout=60)
    server.ask("POST", "/sdapi/v1/options", {"a": "b" * 20 * MB}, source=source, timeout=60)


@kind
def heads_without_end(server, source, over):
    slow = [server.connect(source=source) for _ in range(300)]
    for connection in slow:
        connection.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: " + b"a" * 60_000)
    time.sleep(5)
    for connection in slow:
        connection.close()


@kind
def copies_of_images(server, source, over):
    body = {"prompt": "x", "steps": 1, "width": 256, "height": 256}
    status, _, answer = server.ask("POST", "/v1/text-to-image", body, ASYNC, source=source)
    if status != 202:
        return
    job = json.loads(answer)["id"]
    for i in range(30):
        time.sleep(0.1)
        with server.connect(receive_buffer=4096, source=source) as connection:
            connection.sendall(f"GET /v1/jobs/{job}/images/0?width={100 + i} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())


@kind
def long_moderations(server, source, over):
    text = "k1ll \u0455\u0435\u0445 " * 10_000
    server.ask("POST", "/v1/moderations", {"input": [text] * 64}, source=source, timeout=60)
    server.ask("POST", "/v1/moderations", {"input": [text[:50_000]] * 2}, source=source, timeout=60)


@kind
def jobs_for_hours(server, source, over):
    body = {"prompt": "x", "steps": 500, "n": 8, "width": 256, "height": 256}
    body["webhook"] = {"url": f"http://127.0.0.1:{server.slow_port}/hook"}
    made = []
    for _ in range(100):
        status, _, answer = server.ask("POST", "/v1/text-to-image", body, ASYNC, source=source)
        if status == 202:
            made.append(json.loads(answer)["id"])
    for job in made:
        server.ask("POST", f"/v1/jobs/{job}/cancel", source=source)


@kind
def fetches(server, source, over):
    url = f"http://127.0.0.1:{server.slow_port}/large"
    server.ask("POST", "/v1/image-fusion", {"images": [{"image": url}] * 60}, source=source)
    server.ask("POST", "/v1/image-fusion", {"images": [{"image": url}] * 8}, source=source, timeout=40)


@kind
def silence(server, source, over):
    silent = []
    for _ in range(1500):
        with contextlib.suppress(OSError):
            silent.append(server.connect(timeout=2, source=source))
    time.sleep(3)
    for connection in silent:
        connection.close()


@kind
def half_closed(server, source, over):
    body = {"prompt": "x", "steps": 3}
    with server.connect(source=source) as connection:
        connection.sendall(server.request("POST", "/v1/text-to-image", body))
        connection.shutdown(socket.SHUT_WR)
        read_all(connection)


@kind
def open_routes_in_a_loop(server, source, over):
    for path in ["/readyz", "/openapi.json", "/", "/docs/", "/v1/styles", "/v1/models", "/metrics"] * 10:
        server.ask("GET", path, source=source)


class Elsewhere(http.server.BaseHTTPRequestHandler):
    """Takes webhooks slowly, and gives large files."""

    def do_POST(self):
        time.sleep(15)
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(20 * MB))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(files.png(64, 64) + bytes(20 * MB - len(files.png(64, 64))))

    def log_message(self, *_):
        pass


@attack(quick=False, own_server=True)
def soak():
    """Every attack at once."""
    seconds = int(os.environ.get("SOAK_SECONDS", "150"))
    chosen = [k for k in KINDS if k.__name__ in os.environ.get("SOAK_KINDS", k.__name__).split(",")]
    elsewhere = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    cage = Cage(LIMIT)
    server = Server(
        cage=cage, fetch__enabled="true", fetch__allow_private="true", webhooks__allow_private="true",
    )
    server.slow_port = elsewhere.server_port
    try:
        attacked(server, chosen, seconds)
    finally:
        if server.process.poll() is not None:
            print(server.log()[-2000:])
        server.stop()
        elsewhere.shutdown()
        cage.remove()


def attacked(server, kinds, seconds):
    # What the first image of all takes for good is part of the start.
    server.ask("POST", "/v1/text-to-image", {"prompt": "x", "steps": 1}, timeout=60)
    before = server.rss()
    over = time.monotonic() + seconds
    counts = dict.fromkeys((k.__name__ for k in kinds), 0)

    def repeat(function, source):
        while time.monotonic() < over and server.process.poll() is None:
            with contextlib.suppress(OSError, ValueError):
                function(server, source, over)
                counts[function.__name__] += 1

    threads = []
    for i, function in enumerate(kinds):
        # Two clients of each kind.
        for j in range(2):
            threads.append(threading.Thread(target=repeat, args=(function, f"127.0.{j + 1}.{i + 1}"), daemon=True))
    for thread in threads:
        thread.start()
    prober, last = Prober(server), time.monotonic()
    try:
        while time.monotonic() < over:
            check(server.process.poll() is None, f"the process has ended ({server.process.poll()}), after {counts}")
            if time.monotonic() - last > 10:
                last = time.monotonic()
                print(f"  {over - last:5.0f} s left: {server.rss()} MB, at most {server.rss('VmHWM')} MB", flush=True)
            time.sleep(1)
        for thread in threads:
            thread.join(60)
    finally:
        probes = prober.stop()
    print(f"  {counts}")
    print(f"  {summary(probes)}")
    peak = server.rss("VmHWM")

    def idle():
        pages = [server.ask("GET", f"/v1/jobs?status={status}&limit=100") for status in ("queued", "running")]
        check(all(status == 200 for status, _, _ in pages), f"the jobs are not listed: {pages}")
        jobs = [job["id"] for _, _, page in pages for job in json.loads(page)["data"]]
        for job in jobs:
            server.ask("POST", f"/v1/jobs/{job}/cancel")
        return not jobs and server.metric("kandinsky_samples_in_flight") == 0

    until("no job is left", idle, 60)
    with contextlib.suppress(Failed):
        until("back", lambda: server.rss() - before < GROWTH, 60)
    after = server.rss()
    if after - before >= GROWTH:
        _, _, metrics = server.ask("GET", "/metrics")
        held = [line for line in metrics.decode().splitlines() if "in_flight" in line and not line.startswith("#")]
        print("  ", held, f"{server.rss('RssAnon')} MB are not files")
    print(f"  {before} MB at the start, {peak} MB at most, {after} MB at the end")
    # What was taken from a budget is given back: the next client is served.
    status, _, answer = server.ask("POST", "/v1/text-to-image", {"prompt": "x", "steps": 1}, timeout=60)
    check(status == 200, f"a request after it all is answered {status}: {answer[:300]!r}")
    until("all of it is given back", lambda: not any(server.metric(name) for name in BUDGETS), 40)
    unanswered = [probe for probe in probes if probe[1] != 200]
    check(len(probes) > seconds / 2 and not unanswered, f"/healthz was not answered: {unanswered}")
    check(peak < LIMIT // MB, f"it had {peak} MB")
    check(after - before < GROWTH, f"{before} MB grew to {after} MB")

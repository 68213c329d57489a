"""What is left for others at each door while one client floods it, and keys of idempotency by the thousand."""

import base64
import contextlib
import json
import random
import sqlite3
import threading
import time

from . import files
from .harness import ASYNC, Server, attack, check, until

b64 = lambda data: base64.b64encode(data).decode()


def beside(flood, single, connections, seconds=4, tries=3):
    """The longest that one client's request takes while another's come on so many connections, s."""
    over = threading.Event()

    def repeat():
        while not over.is_set():
            with contextlib.suppress(OSError, ValueError):
                flood("127.0.8.1")

    threads = [threading.Thread(target=repeat, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    longest = 0.0
    try:
        for _ in range(tries):
            started = time.monotonic()
            single()
            longest = max(longest, time.monotonic() - started)
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    return longest


def asks(server, path, body, statuses, **more):
    """A request that is to be answered with one of these."""

    def single():
        status, _, answer = server.ask("POST", path, body, timeout=60, **more)
        check(status in statuses, f"{path} is answered {status}: {answer[:300]!r}")

    return single


MIXED = "k1ll \u0455\u0435\u0445 "


def doors(server):
    """A flood on so many connections, and a small request of the same kind with the statuses it may have."""
    small, large = b64(files.png(64, 64)), b64(files.png(8192, 8192, 0, 1))
    drawn = lambda more: {"prompt": "x", "steps": 1, "prior": {"steps": 1}} | more
    text = lambda n: "".join(random.choices("abcdefgh", k=n))
    ask = lambda path, body, **more: lambda source: server.ask("POST", path, body() if callable(body) else body, source=source, timeout=8, **more)
    plain = asks(server, "/v1/text-to-image", drawn({}), [200])
    yield "decoding", 24, ask("/v1/image-to-image", drawn({"image": large, "strength": 0.1})), asks(
        server, "/v1/image-to-image", drawn({"image": small}), [200])
    yield "moderation", 24, ask("/v1/moderations", {"input": [MIXED * 700] * 15}), asks(
        server, "/v1/moderations", {"input": MIXED * 500}, [200])
    long = lambda: {"inputs": [{"image": small}] + [{"prompt": text(31_000)} for _ in range(4)], "steps": 1}
    yield "words without end", 24, ask("/v1/text-image-fusion", long), plain
    blanks = lambda: drawn({"prompt": (MIXED * 6000)[:31_000], "negative_prompt": "( [ " * 7000})
    yield "prompts that take long to read", 150, ask("/v1/text-to-image", blanks), plain
    yield "a page of jobs", 24, lambda source: server.ask("GET", "/v1/jobs?limit=100", source=source), plain
    yield "large bodies", 24, ask("/v1/text-to-image", b'{"prompt": "' + b"\\u00e9" * (5 << 20) + b'"}'), plain
    yield "large bodies with keys", 24, ask(
        "/v1/text-to-image", b'{"prompt": "' + b"a" * (30 << 20) + b'"}', headers="Idempotency-Key: x\r\n"), plain


@attack(quick=False, own_server=True)
def floods_at_each_door():
    """Another client's request of the same kind is answered in time."""
    server = Server()
    try:
        asks(server, "/v1/text-to-image", {"prompt": "x", "steps": 1}, [200])()
        late, before = [], server.rss()
        for name, connections, flood, single in doors(server):
            started = time.monotonic()
            single()
            alone = time.monotonic() - started
            took = beside(flood, single, connections)
            grown = server.rss("VmHWM") - before
            print(f"  {name}: {alone:.2f} s alone, {took:.2f} s beside a flood; at most {grown} MB more", flush=True)
            if took > 10 or grown > 450:
                late.append(f"{name}: {took:.1f} s, {grown} MB")
            server.is_alive()
        check(not late, f"{late}")
    finally:
        server.stop()


def count(server, table):
    """Rows of a table in the file of the database."""
    with contextlib.closing(sqlite3.connect(f"file:{server.data}/jobs.sqlite?mode=ro", uri=True)) as database:
        return database.execute(f"select count(*) from {table}").fetchone()[0]


@attack(quick=True, own_server=True)
def keys_of_idempotency():
    """One key 200 times at once is one job; a key for each of 200 requests leaves no more rows than are kept."""
    server = Server(jobs__max_kept=100, jobs__clean_interval_s=1)
    try:
        body = {"prompt": "red heart", "steps": 60}
        answers = []

        def send(body, headers):
            with contextlib.suppress(OSError):
                answers.append(server.ask("POST", "/v1/text-to-image", body, headers, timeout=60))

        def at_once(requests):
            threads = [threading.Thread(target=send, args=request) for request in requests]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        same = "Idempotency-Key: same\r\n"
        at_once([(body, same)] * 100 + [(body, same + ASYNC)] * 100)
        statuses = {status for status, _, _ in answers}
        check(len(answers) == 200 and statuses <= {200, 202}, f"{len(answers)} answers: {statuses}")
        rows = count(server, "jobs")
        check(rows == 1, f"one key made {rows} jobs")
        answers.clear()
        at_once([(body | {"seed": seed}, same) for seed in range(50)])
        check({status for status, _, _ in answers} == {422}, f"another body: {[s for s, _, _ in answers]}")
        for i in range(200):
            status, _, answer = server.ask("POST", "/v1/text-to-image", body, f"Idempotency-Key: {i}\r\n{ASYNC}")
            if status == 202:
                server.ask("POST", f"/v1/jobs/{json.loads(answer)['id']}/cancel")
        for key in ["", "x" * 10_000, "\x01", "a\tb", "\u00e9" * 100]:
            status, _, _ = server.ask("POST", "/v1/text-to-image", body, f"Idempotency-Key: {key}\r\n{ASYNC}")
            check(status < 500, f"the key {key[:9]!r} is answered {status}")
        until("no more rows than are kept", lambda: count(server, "jobs") <= 110, 20)
    finally:
        server.stop()

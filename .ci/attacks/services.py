"""What services that the server calls do to it: moderation, translation, images by URL, receivers of webhooks.

Invariant of the service here: it is as slow, as endless and as wrong as its mode says, for whoever calls it.
"""

import contextlib
import http.server
import json
import threading
import time

from .harness import ASYNC, MB, Server, attack, check, until

SLOW = 40


class Service(http.server.BaseHTTPRequestHandler):
    """Each path is a mode; what the operator configured has its mode from `mode`."""

    protocol_version = "HTTP/1.1"
    mode, calls, told = "good", 0, []

    def do_POST(self):
        type(self).calls += 1
        with contextlib.suppress(OSError):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind = self.path.strip("/").split("/")[0]
            mode = self.mode if kind in ("moderate", "translate") else kind
            self.answer(mode, kind, body)

    do_GET = do_POST

    def log_message(self, *_):
        pass

    def answer(self, mode, kind, body):
        self.close_connection = True
        if mode == "slow":
            time.sleep(SLOW)
        elif mode == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 10000000\r\n\r\n")
            for _ in range(SLOW):
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(1)
        elif mode == "slow-head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for i in range(SLOW):
                self.wfile.write(f"X-{i}: y\r\n".encode())
                self.wfile.flush()
                time.sleep(1)
        elif mode == "head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
            for _ in range(2000):
                self.wfile.write(b"y" * 60_000)
        elif mode == "huge":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(4000):
                self.wfile.write(b"10000\r\n" + b" " * (1 << 16) + b"\r\n")
        elif mode == "loop":
            where = f"http://127.0.0.1:{self.server.server_port}{self.path}"
            self.wfile.write(f"HTTP/1.1 307 Go\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())
        elif mode == "wrong":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 30\r\n\r\n" + b"[" * 30)
        elif mode == "deep":
            nested = b"[" * 500_000
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(nested) + nested)
        elif mode == "interim":
            for _ in range(100_000):
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        elif mode == "gone":
            pass
        else:
            self.good(kind, body)

    def good(self, kind, body):
        type(self).told.append(kind)
        answer = {}
        if kind == "moderate":
            clean = {"flagged": False, "categories": {}, "category_scores": {}}
            answer = {"results": [clean for _ in json.loads(body)["input"]]}
        elif kind == "translate":
            answer = {"translatedText": ["a cat" for _ in json.loads(body)["q"]]}
        data = json.dumps(answer).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data)


MODES = ["slow", "drip", "slow-head", "head", "huge", "loop", "wrong", "deep", "interim", "gone"]


@contextlib.contextmanager
def service(host="127.0.0.1"):
    Service.mode, Service.calls, Service.told = "good", 0, []
    listener = http.server.ThreadingHTTPServer((host, 0), Service)
    listener.daemon_threads = True
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    try:
        yield f"http://{host}:{listener.server_port}"
    finally:
        listener.shutdown()
        listener.server_close()


def at_once(count, function):
    """The results of as many calls at once, and how long the last one took."""
    results, started = [], time.monotonic()

    def run():
        with contextlib.suppress(OSError):
            results.append(function())

    threads = [threading.Thread(target=run, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results, time.monotonic() - started


@attack(quick=False, own_server=True)
def services_that_misbehave():
    """Moderation and translation that are slow, endless, in a loop or wrong: requests hear so in time, and all is well after it."""
    drawn = {"prompt": "\u043a\u043e\u0442", "steps": 1, "prior": {"steps": 1}}
    for kind, wanted in [("moderate", 503), ("translate", 200)]:
        with service() as url:
            settings = {
                "moderate": {
                    "moderation__chain": "remote", "moderation__remote_url": f"{url}/moderate",
                    "moderation__remote_timeout_s": 1, "moderation__remote_retries": 1,
                },
                "translate": {
                    "translate__backend": "libretranslate", "translate__url": url, "translate__timeout_s": 2,
                    "translate__cache_bytes": 1,
                },
            }[kind]
            server = Server(**settings)
            try:
                ask = lambda more={}: server.ask("POST", "/v1/text-to-image", drawn | more, timeout=60)
                until("it works", lambda: ask()[0] == 200, 20)
                _, usual = at_once(30, ask)
                # After a failure it is left alone for a while, so this takes time.
                for mode in ["slow", "drip", "huge", "loop"]:
                    before, Service.mode = server.rss(), mode
                    answers, took = at_once(30, ask)
                    statuses = {status for status, _, _ in answers}
                    grown = server.rss() - before
                    check(len(answers) == 30 and statuses == {wanted}, f"{kind} {mode}: {len(answers)} answers, {statuses}")
                    check(took < usual + 10, f"{kind} {mode}: the last answer came after {took:.1f} s, else after {usual:.1f} s")
                    check(grown < 100, f"{kind} {mode}: {before} MB grew by {grown} MB")
                    if wanted == 503:
                        check(all("retry-after" in head.lower() for _, head, _ in answers), f"{mode}: 503 without Retry-After")
                    server.is_alive()
                    Service.mode = "good"
                    told = len(Service.told)
                    until(f"{kind} is asked again after {mode}", lambda: ask()[0] == 200 and len(Service.told) > told, 60)
                check(url not in server.log(), "the service's address is in the log")
            finally:
                server.stop()


@attack(quick=False, own_server=True)
def urls_that_misbehave():
    """Images by URL that are slow, endless, in a loop: refused in time; receivers of webhooks alike: others are told at once."""
    with service() as url, service("127.0.0.2") as other:
        server = Server(fetch__enabled="true", fetch__allow_private="true", fetch__timeout_s=2, webhooks__allow_private="true", webhooks__timeout_s=3)
        try:
            draw = lambda more, headers="": server.ask(
                "POST", "/v1/text-to-image", {"prompt": "x", "steps": 1, "prior": {"steps": 1}} | more, headers, timeout=60)
            draw({})
            for mode in MODES:
                before = server.rss()
                ask = lambda: server.ask("POST", "/v1/image-fusion", {"images": [{"image": f"{url}/{mode}/{i}"} for i in range(4)], "steps": 1}, timeout=60)
                Service.calls = 0
                answers, took = at_once(12, ask)
                statuses = {status for status, _, _ in answers}
                grown = server.rss() - before
                check(len(answers) == 12 and statuses <= {422, 503}, f"{mode}: {len(answers)} answers, {statuses}")
                check(took < 20, f"{mode}: the last answer came after {took:.1f} s")
                check(grown < 150, f"{mode}: {before} MB grew by {grown} MB")
                check(Service.calls <= 12 * 4 * 4, f"{mode}: {Service.calls} calls for 48 addresses")
                server.is_alive()
                for _ in range(8):
                    draw({"webhook": {"url": f"{url}/{mode}/hook"}}, ASYNC)
            Service.told.clear()
            started = time.monotonic()
            draw({"webhook": {"url": f"{other}/quick"}}, ASYNC)
            until("a quick receiver is told", lambda: "quick" in Service.told, 20)
            print(f"  told after {time.monotonic() - started:.1f} s beside {8 * len(MODES)} deliveries that do not end; {server.rss()} MB")
            until("no body is left", lambda: server.metric("kandinsky_request_bodies_in_flight_bytes") == 0, 20)
        finally:
            server.stop()

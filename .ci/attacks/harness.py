"""What attacks are made with: servers of their own, requests by hand, and bounds of memory.

Invariant: whatever becomes of an attack, its server and its files are gone afterwards.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time

BINARY = os.environ.get("KANDINSKY_BINARY", "./target/release/kandinsky")
MB = 1 << 20
ATTACKS = []
ASYNC = "Prefer: respond-async\r\n"


def attack(quick, own_server=False):
    """Registers an attack; `quick`: it takes some seconds at most. It gets a server, unless it makes its own."""

    def register(function):
        ATTACKS.append((function.__name__, quick, own_server, function))
        return function

    return register


class Failed(Exception):
    """An attack got through."""


class LeftOut(Exception):
    """An attack cannot be tried here."""


def check(holds, message):
    if not holds:
        raise Failed(message)


class Cage:
    """A bound of memory for processes, by the kernel where it may be set here (root, cgroups)."""

    def __init__(self, limit):
        self.folder = None
        for memory, name in [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")]:
            folder = f"{memory}/kandinsky-attack-{os.getpid()}"
            try:
                os.mkdir(folder)
                self.folder = folder
                with open(f"{folder}/{name}", "w") as bound:
                    bound.write(str(limit))
                return
            except OSError:
                self.remove()

    def enter(self):
        if self.folder:
            with open(f"{self.folder}/cgroup.procs", "w") as members:
                members.write(str(os.getpid()))

    def remove(self):
        if self.folder:
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)
        self.folder = None


class Server:
    """A server, in a folder of its own unless one is given."""

    def __init__(self, data=None, cage=None, command=(), **settings):
        self.folder = tempfile.TemporaryDirectory()
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("KANDINSKY__")}
        self.environment |= {f"KANDINSKY__{k.upper()}": str(v) for k, v in settings.items()}
        self.log_path = f"{self.folder.name}/log"
        self.data = data or f"{self.folder.name}/data"
        self.cage, self.command = cage, list(command)
        self.start()

    def start(self):
        """Start it, also once more after its end, and wait until it is ready."""
        with open(self.log_path, "w") as log:
            command = [*self.command, BINARY, "serve", "--listen", "127.0.0.1:0", "--data", self.data]
            enter = self.cage.enter if self.cage else None
            self.process = subprocess.Popen(command, env=self.environment, stderr=log, stdout=log, preexec_fn=enter)
        for _ in range(600):
            ready = [line for line in self.log().splitlines() if "ready on http://" in line]
            if ready:
                self.port = int(ready[0].split("ready on http://127.0.0.1:")[1].split()[0].strip('"'))
                return
            if self.process.poll() is not None:
                raise SystemExit(f"the server did not start:\n{self.log()}")
            time.sleep(0.1)
        raise SystemExit("the server did not get ready")

    def end(self, how=signal.SIGKILL):
        """End the process, and wait for that."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(60)

    def log(self):
        with open(self.log_path) as log:
            return log.read()

    def rss(self, kind="VmRSS"):
        """Resident memory, MB; `VmHWM`: the most there ever was."""
        with open(f"/proc/{self.process.pid}/status") as status:
            line = next((line for line in status if line.startswith(kind)), None)
        check(line is not None, "the process has ended")
        return int(line.split()[1]) // 1024

    def peak(self, seconds):
        """The most that it has within so many seconds from now, MB."""
        end, most = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            most = max(most, self.rss())
            time.sleep(0.1)
        return most

    def connect(self, timeout=20, receive_buffer=None, source=None):
        """`source`: the client's address, one of 127.0.0.0/8; others count as other clients."""
        connection = socket.socket()
        if source:
            connection.bind((source, 0))
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(timeout)
        connection.connect(("127.0.0.1", self.port))
        return connection

    def request(self, method, path, body=None, headers="", media_type="application/json"):
        """The bytes of a request."""
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n{headers}"
        if body is not None:
            head += f"Content-Type: {media_type}\r\nContent-Length: {len(data)}\r\n"
        return head.encode() + b"\r\n" + data

    def ask(self, method, path, body=None, headers="", timeout=20, source=None, **more):
        """The status, the head and the body of a response."""
        with self.connect(timeout, source=source) as connection:
            # A refusal may come before all of it is sent.
            with contextlib.suppress(ConnectionError):
                connection.sendall(self.request(method, path, body, headers, **more))
            return parse(read_all(connection))

    def is_alive(self):
        check(self.process.poll() is None, "the process has ended")
        status, _, _ = self.ask("GET", "/healthz", timeout=5)
        check(status == 200, f"/healthz answers {status}")

    def metric(self, name):
        _, _, body = self.ask("GET", "/metrics")
        lines = [line for line in body.decode().splitlines() if line.startswith(name)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def stop(self):
        self.end()
        self.folder.cleanup()


def read_all(connection):
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def parse(response):
    """The last of the responses before the end of the connection, without interim ones."""
    while response.startswith(b"HTTP/1.1 100"):
        response = response.split(b"\r\n\r\n", 1)[1]
    head, _, body = response.partition(b"\r\n\r\n")
    status = int(head.split()[1]) if head else 0
    return status, head.decode("latin-1"), body


def until(what, holds, seconds):
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        check(time.monotonic() < end, f"not within {seconds} s: {what}")
        time.sleep(0.1)

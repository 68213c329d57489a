"""The processes of a fleet on this machine, and how they are started, killed, stopped and asked.

Invariant: whatever happens, no process outlives the program.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from links import Network

LEASE_S = 3
PATIENCE_S = 90
BUCKET = "pictures"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, holds, patience=PATIENCE_S):
    """Wait until this holds."""
    end = time.monotonic() + patience
    while not (found := holds()):
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {patience} s")
        time.sleep(0.05)
    return found


class Process:
    """One program with its log, which can be started again."""

    def __init__(self, name, command, folder, env=None):
        self.name, self.command, self.env = name, command, env
        self.folder = folder
        self.log = folder / f"{name}.log"
        self.child = None

    def start(self):
        self.offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(self.command, stdout=log, stderr=log, env=self.env)
        return self

    def since_start(self):
        return self.log.read_bytes()[self.offset:].decode(errors="replace")

    def kill(self):
        self.child.kill()
        self.child.wait()

    def signal(self, number):
        self.child.send_signal(number)

    def stop(self, patience=PATIENCE_S):
        """As an operator would."""
        self.child.terminate()
        code = self.child.wait(patience)
        assert code == 0, f"{self.name} ended with {code}:\n{self.since_start()[-2000:]}"

    def is_alive(self):
        return self.child is not None and self.child.poll() is None


class Server(Process):
    """A process of kandinsky."""

    def start(self):
        journal = self.folder / self.name / "step-journal"
        self.left_note = journal.read_bytes() if journal.exists() else None
        super().start()
        # Nothing is there before it is ready.
        self.url = "http://127.0.0.1:1"
        return self

    def ready(self):
        def line():
            assert self.is_alive(), f"{self.name} ended:\n{self.since_start()[-3000:]}"
            return re.search(r"ready on (http://[0-9.:]+)", self.since_start())
        self.url = until(f"{self.name} is ready", line)[1]
        return self

    def noted(self):
        """What its journal says that it executes; nothing of what the process before it left there."""
        note = (self.folder / self.name / "step-journal").read_bytes()
        if note == self.left_note or not note[:8].isdigit():
            return []
        self.left_note = None
        return json.loads(note[8:8 + int(note[:8])] or "[]")

    def set_clock(self, library, offset):
        """From the next start on, the time of day is another one; durations stay true."""
        fake = {"LD_PRELOAD": library, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        self.env = {k: v for k, v in self.env.items() if k not in fake}
        if library:
            self.env.update(fake)


class Database:
    """The PostgreSQL of .ci/postgres, whose socket is in the folder that its URL names."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        self.user, self.name = parts.username, parts.path
        self.folder = Path(urllib.parse.unquote(parts.netloc.rpartition("@")[2]))
        self.note = self.folder / "data/postmaster.pid"
        assert self.note.exists(), "the database must be one of .ci/postgres"

    def target(self):
        return str(self.folder / ".s.PGSQL.5432")

    def url(self, port):
        return f"postgres://{self.user}@127.0.0.1:{port}{self.name}"

    def kill(self):
        """Without a word to its clients, and with a recovery at the next start."""
        os.kill(int(self.note.read_text().split()[0]), signal.SIGQUIT)
        until("PostgreSQL is gone", lambda: not self.note.exists())

    def start(self):
        command = shlex.split((self.folder / "data/postmaster.opts").read_text())
        owner = (self.folder / "data").stat()
        user = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.getuid() == 0 else {}
        with (self.folder / "again.log").open("ab") as log:
            subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True, **user)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def ask(url, body=None, method=None, headers=None, timeout=PATIENCE_S):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


class Fleet:
    """NATS, S3, two API nodes and three workers, on a PostgreSQL that is there."""

    def __init__(self, tools, binary, workers=3, apis=2, direct=False):
        self.folder = Path(tempfile.mkdtemp(prefix="kandinsky-fleet."))
        self.nats_port, s3_port = free_port(), free_port()
        self.nats = Process("nats", [f"{tools}/nats-server", "-js", "-sd", str(self.folder / "nats"), "-a", "127.0.0.1",
                                     "-p", str(self.nats_port)], self.folder)
        self.s3 = Process("s3", [f"{tools}/moto_server", "-H", "127.0.0.1", "-p", str(s3_port)], self.folder)
        self.s3_url = f"http://127.0.0.1:{s3_port}"
        self.faketime = next((str(p) for p in Path(tools).parent.glob("lib/python*/site-packages/**/libfaketime.so.1")), None)
        self.database = Database(os.environ["KANDINSKY_TEST_POSTGRES_URL"])
        # Without links that can be silenced, which take time.
        self.network, self.links = None if direct else Network(), {}
        self.targets = {"nats": ("127.0.0.1", self.nats_port), "postgres": self.database.target(), "s3": ("127.0.0.1", s3_port)}
        self.binary = binary
        self.prefix = f"t{os.getpid()}x{self.nats_port}"
        self.workers = [self.server("worker", i) for i in range(workers)]
        self.apis = [self.server("api", i) for i in range(apis)]

    def server(self, role, number):
        name = f"{role}{number}"
        if self.network:
            links = {service: self.network.link(target) for service, target in self.targets.items()}
            self.links[name] = links
            ports = {service: link.port for service, link in links.items()}
            database = self.database.url(ports["postgres"])
        else:
            ports = {service: target[1] for service, target in self.targets.items() if service != "postgres"}
            database = os.environ["KANDINSKY_TEST_POSTGRES_URL"]
        env = {
            **os.environ,
            "KANDINSKY__STORE__URL": database,
            "KANDINSKY__BROKER__URL": f"nats://127.0.0.1:{ports['nats']}",
            "KANDINSKY__BROKER__PREFIX": self.prefix,
            "KANDINSKY__PICTURES__URL": f"s3://{BUCKET}/{self.prefix}",
            "KANDINSKY__PICTURES__ENDPOINT": f"http://127.0.0.1:{ports['s3']}",
            "KANDINSKY__PICTURES__ALLOW_HTTP": "true",
            "KANDINSKY__PICTURES__ACCESS_KEY_ID": "key",
            "KANDINSKY__PICTURES__SECRET_ACCESS_KEY": "secret",
            "KANDINSKY__QUEUE__LEASE_S": str(LEASE_S),
            # So that there is something to do for all of them.
            "KANDINSKY__ENGINE__MAX_PICTURES_IN_FLIGHT": "2",
            "KANDINSKY__SERVER__DRAIN_GRACE_S": "20",
            # Large images are drawn as large, which takes long.
            "KANDINSKY__LIMITS__SIZE_POLICY": "refuse",
            "KANDINSKY__WEBHOOKS__ALLOW_PRIVATE": "true",
            "KANDINSKY__LOG__LEVEL": "info,kandinsky::broker=debug",
        }
        command = [self.binary, role, "--listen", "127.0.0.1:0", "--data", str(self.folder / name)]
        return Server(name, command, self.folder, env)

    def __enter__(self):
        try:
            self.nats.start()
            self.s3.start()
            until("S3 answers", self.make_bucket)
            until("NATS answers", self.nats_listens)
            for server in self.apis + self.workers:
                server.start()
            for server in self.apis + self.workers:
                server.ready()
            return self
        except BaseException:
            self.__exit__(True, None, None)
            raise

    def __exit__(self, failed, *_):
        for process in [*self.apis, *self.workers, self.s3, self.nats]:
            if process.is_alive():
                process.signal(signal.SIGCONT)
                process.kill()
        if failed and os.environ.get("KEEP_LOGS"):
            print(f"logs are in {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def link(self, server, service):
        return self.links[server.name][service]

    def make_bucket(self):
        try:
            return ask(f"{self.s3_url}/{BUCKET}", method="PUT").status == 200
        except OSError:
            return False

    def nats_listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.nats_port), 1).close()
            return True
        except OSError:
            return False

    def tell_nats(self, *lines):
        """Publish by hand."""
        with socket.create_connection(("127.0.0.1", self.nats_port), 5) as connection:
            stream = connection.makefile("rwb")
            stream.readline()
            stream.write(b'CONNECT {"verbose":false}\r\n')
            for subject, body in lines:
                stream.write(f"PUB {subject} {len(body)}\r\n".encode() + body + b"\r\n")
            stream.write(b"PING\r\n")
            stream.flush()
            while b"PONG" not in stream.readline():
                pass

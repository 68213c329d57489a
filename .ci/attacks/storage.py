"""Disks that are full or locked, a database that goes away, processes that are killed: what was accepted is finished, once."""

import base64
import contextlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from .harness import ASYNC, LeftOut, Server, attack, check, until


def submit(server, body, headers=ASYNC):
    """The id of an accepted job, or None and what was answered instead."""
    status, head, answer = server.ask("POST", "/v1/text-to-image", body, headers, timeout=60)
    check(status in (202, 503), f"a job is answered {status}: {answer[:200]!r}")
    if status == 503:
        check("retry-after" in head.lower(), f"503 without Retry-After: {head}")
        return None
    return json.loads(answer)["id"]


def status_of(server, job):
    _, _, answer = server.ask("GET", f"/v1/jobs/{job}")
    return json.loads(answer).get("status")


def all_succeed(server, jobs, patience=60):
    """Waits for all of them, as long as one after the other is finished: `patience` s for the next."""
    def counts():
        statuses = [status_of(server, job) for job in jobs]
        return {status: statuses.count(status) for status in set(statuses)}

    finished, since = -1, time.monotonic()
    while (now := counts()) != {"succeeded": len(jobs)}:
        if now.get("succeeded", 0) > finished:
            finished, since = now.get("succeeded", 0), time.monotonic()
        check("failed" not in now, f"not all succeed: {now}")
        check(time.monotonic() - since < patience, f"none is finished within {patience} s: {now}")
        time.sleep(0.5)


def need_root():
    if os.geteuid() != 0:
        raise LeftOut("it needs root")


@contextlib.contextmanager
def small_disk(megabytes):
    need_root()
    with tempfile.TemporaryDirectory() as folder:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", folder])
        if mounted.returncode != 0:
            raise LeftOut("nothing can be mounted")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


@attack(quick=False, own_server=True)
def a_disk_of_6_mb():
    """It fills up; jobs are deleted on it, the server starts on it, and what was accepted is finished."""
    with small_disk(6) as folder:
        server = Server(data=f"{folder}/data")
        try:
            # Images of about 100 kB each: some of these jobs fill it up.
            body = {"prompt": "red heart", "steps": 1, "n": 8, "width": 256, "height": 256}
            jobs = [job for seed in range(20) if (job := submit(server, body | {"seed": seed}))]
            until("the disk fills up", lambda: server.ask("GET", "/readyz")[0] == 503, 180)
            until("new work is refused", lambda: submit(server, body) is None, 20)
            statuses = [status_of(server, job) for job in jobs]
            check("failed" not in statuses, f"{statuses}")
            until("/readyz says no", lambda: server.ask("GET", "/readyz")[0] == 503, 20)
            check(server.ask("GET", "/healthz")[0] == 200, "/healthz")
            # Fill it to the last byte, and start on it.
            with contextlib.suppress(OSError), open(f"{folder}/filler", "wb", buffering=0) as filler:
                while True:
                    filler.write(bytes(1 << 16))
            server.end(signal.SIGKILL)
            server.start()
            done = [job for job in jobs if status_of(server, job) == "succeeded"]
            check(done, "nothing was finished")
            status, _, answer = server.ask("DELETE", f"/v1/jobs/{done[0]}", timeout=30)
            check(status == 204, f"DELETE on a full disk: {status} {answer[:200]!r}")
            waiting = [job for job in jobs if status_of(server, job) not in ("succeeded", "failed")]
            if waiting:
                status, _, answer = server.ask("POST", f"/v1/jobs/{waiting[-1]}/cancel", timeout=30)
                check(status in (200, 202), f"cancel on a full disk: {status} {answer[:200]!r}")
                jobs.remove(waiting[-1])
            jobs.remove(done[0])
            os.remove(f"{folder}/filler")
            # What is deleted makes room for those that wait.
            for job in done[1:] + waiting[12:-1]:
                server.ask("DELETE", f"/v1/jobs/{job}", timeout=30)
                jobs.remove(job)
            subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
            all_succeed(server, jobs)
            check(submit(server, {"prompt": "x", "steps": 1}), "new work is still refused")
        finally:
            server.stop()


@attack(quick=False, own_server=True)
def a_folder_that_cannot_be_written():
    """The folder of the images becomes read-only under a server that is not root."""
    need_root()
    with tempfile.TemporaryDirectory() as folder:
        shutil.chown(folder, 65534, 65534)
        as_nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        server = Server(data=f"{folder}/data", command=as_nobody)
        try:
            body = {"prompt": "red heart", "steps": 20, "width": 128, "height": 128}
            jobs = [submit(server, body) for _ in range(6)]
            images = f"{folder}/data/pictures"
            os.chmod(images, 0o555)
            until("/readyz says no", lambda: server.ask("GET", "/readyz")[0] == 503, 20)
            until("new jobs are refused", lambda: submit(server, body) is None, 20)
            time.sleep(3)
            statuses = [status_of(server, job) for job in jobs]
            check("failed" not in statuses, f"{statuses}")
            # What is its own it makes writable when it starts; this is not.
            server.end(signal.SIGKILL)
            shutil.chown(images, 0, 0)
            server.start()
            check(server.ask("GET", "/readyz")[0] == 503, "it starts on it, and says it is ready")
            statuses = [status_of(server, job) for job in jobs]
            check("failed" not in statuses, f"{statuses}")
            shutil.chown(images, 65534, 65534)
            os.chmod(images, 0o755)
            all_succeed(server, jobs)
            check(submit(server, body), "new work is still refused")
        finally:
            server.stop()


class Proxy:
    """A TCP port in front of PostgreSQL's socket, which can be cut."""

    def __init__(self, path):
        self.path, self.is_cut, self.open = path, False, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            if self.is_cut:
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            server.connect(self.path)
            self.open += [client, server]
            for a, b in [(client, server), (server, client)]:
                threading.Thread(target=self.copy, args=(a, b), daemon=True).start()

    def copy(self, a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(1 << 16):
                b.sendall(data)
        for end in (a, b):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        self.is_cut = True
        for end in self.open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.open = []

    def mend(self):
        self.is_cut = False


@contextlib.contextmanager
def postgres():
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "postgres")
    if not os.path.isdir("/usr/lib/postgresql") and not shutil.which("initdb"):
        raise LeftOut("PostgreSQL is missing")
    process = subprocess.Popen([script], stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().strip()
        check(url, "PostgreSQL did not start")
        yield url.split("@")[1].split("/")[0].replace("%2F", "/")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


@attack(quick=False, own_server=True)
def a_database_away_for_longer_than_a_lease():
    """Again and again, while no process dies: no job is lost, and each is drawn once."""
    with postgres() as folder, tempfile.TemporaryDirectory() as data:
        proxy = Proxy(f"{folder}/.s.PGSQL.5432")
        settings = {
            "store__url": f"postgres://kandinsky@127.0.0.1:{proxy.port}/postgres", "queue__lease_s": 6,
            "engine__max_pictures_in_flight": 2,
        }
        servers = [Server(data=f"{data}/data", **settings) for _ in range(2)]
        try:
            body = {"prompt": "red heart", "steps": 300}
            jobs = [submit(servers[i % 2], body | {"seed": i}) for i in range(6)]
            for _ in range(3):
                time.sleep(3)
                proxy.cut()
                until("work is refused", lambda: submit(servers[0], body) is None, 20)
                time.sleep(9)
                check(all(server.ask("GET", "/healthz")[0] == 200 for server in servers), "/healthz")
                proxy.mend()
                until("ready again", lambda: all(s.ask("GET", "/readyz")[0] == 200 for s in servers), 30)
            for job in jobs:
                until("it succeeds", lambda: status_of(servers[0], job) == "succeeded", 240)
            query = "select count(*), max(losses), max(epoch) from jobs where state = 'succeeded'"
            asked = subprocess.run(
                ["psql", "-h", folder, "-U", "kandinsky", "postgres", "-Atc", query], capture_output=True, text=True
            )
            print(f"  {len(jobs)} jobs: succeeded|most losses|most claims: {asked.stdout.strip() or asked.stderr}")
            check(asked.stdout.split("|")[1:2] == ["0"], "a job was lost, though no server died")
        finally:
            for server in servers:
                server.stop()


class Receiver(http.server.BaseHTTPRequestHandler):
    taken = {}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.taken.setdefault(body["data"]["id"], set()).add(self.headers["webhook-id"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@attack(quick=False, own_server=True)
def forty_jobs_and_ten_kills():
    """Two seconds apart: all succeed, with the images of a server that is not killed, and one webhook each."""
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    server, undisturbed = Server(webhooks__allow_private="true"), Server()
    try:
        hook = {"url": f"http://127.0.0.1:{receiver.server_port}/hook", "events": ["job.succeeded", "job.failed"]}
        body = {"prompt": "red heart", "steps": 40}
        jobs = [submit(server, body | {"seed": seed, "webhook": hook}) for seed in range(40)]
        for _ in range(10):
            time.sleep(2)
            server.end(signal.SIGKILL)
            server.start()
        # Their steps take turns, so that they end together.
        all_succeed(server, jobs, 400)
        for seed, job in enumerate(jobs):
            _, _, image = server.ask("GET", f"/v1/jobs/{job}/images/0")
            _, _, wanted = undisturbed.ask("POST", "/v1/text-to-image", body | {"seed": seed}, timeout=60)
            wanted = base64.b64decode(json.loads(wanted)["images"][0]["b64_json"])
            check(image == wanted, f"the image of seed {seed} is another one")
        until("all ends are announced", lambda: len(Receiver.taken) == len(jobs), 60)
        time.sleep(2)
        often = {job: len(ids) for job, ids in Receiver.taken.items() if len(ids) != 1}
        check(not often, f"announced several times: {often}")
    finally:
        server.stop()
        undisturbed.stop()
        receiver.shutdown()


@attack(quick=True, own_server=True)
def signals():
    """A closed terminal and a second request to stop cost no job; what is meant for others is ignored."""
    server = Server(server__drain_grace_s=1)
    try:
        body = {"prompt": "red heart", "steps": 500, "width": 256, "height": 256, "n": 2}
        jobs = [submit(server, body | {"seed": seed}) for seed in range(3)]
        for how in [signal.SIGHUP, signal.SIGTERM, signal.SIGINT]:
            until("one runs", lambda: any(status_of(server, job) == "running" for job in jobs), 20)
            server.process.send_signal(how)
            if how == signal.SIGINT:
                time.sleep(0.2)
                server.process.send_signal(how)
            server.process.wait(20)
            server.start()
        for job in jobs:
            check(status_of(server, job) in ("queued", "running"), f"a job is {status_of(server, job)}")
    finally:
        server.stop()


@attack(quick=True, own_server=True)
def few_descriptors():
    """With 128 of them: connections wait, jobs do not fail."""
    server = Server(command=["prlimit", "--nofile=128:128"])
    try:
        body = {"prompt": "red heart", "steps": 5}
        jobs = [submit(server, body | {"seed": seed}) for seed in range(8)]
        silent = []
        for _ in range(300):
            with contextlib.suppress(OSError):
                silent.append(server.connect(timeout=1))
        server.is_alive()
        for connection in silent:
            connection.close()
        all_succeed(server, [job for job in jobs if job])
    finally:
        server.stop()


@attack(quick=True, own_server=True)
def a_database_deleted_under_the_server():
    """/readyz says so."""
    server = Server()
    try:
        for name in os.listdir(server.data):
            if name.startswith("jobs.sqlite") and "lock" not in name:
                os.remove(f"{server.data}/{name}")
        until("/readyz says no", lambda: server.ask("GET", "/readyz")[0] == 503, 10)
    finally:
        server.stop()

"""What one client's work, and a clock, do to the jobs of others."""

import email.utils
import glob
import subprocess
import tempfile
import time

from .harness import ASYNC, BINARY, LeftOut, Server, attack, check
from .storage import all_succeed, status_of, submit


def make_key(data, name):
    made = subprocess.run([BINARY, "keys", "create", "--data", data, "--name", name], capture_output=True, text=True)
    words = made.stdout.split()
    check(any(word.startswith("kd_") for word in words), f"no key was made: {made}")
    return next(word for word in words if word.startswith("kd_"))


@attack(quick=False, own_server=True)
def one_owners_flood():
    """A key fills the queue with jobs for minutes; another's single one is drawn among the first."""
    with tempfile.TemporaryDirectory() as data:
        flood, single = (f"Authorization: Bearer {make_key(data, name)}\r\n" for name in ("flood", "single"))
        server = Server(data=data, auth__required="always")
        try:
            body = {"prompt": "red heart", "steps": 50}
            def ask(seconds):
                started = time.monotonic()
                status, _, answer = server.ask("POST", "/v1/text-to-image", body, single, timeout=seconds)
                check(status == 200, f"{status} {answer[:200]!r}")
                return time.monotonic() - started

            ask(60)
            idle = min(ask(60) for _ in range(3))
            accepted = 0
            for seed in range(600):
                status, _, _ = server.ask("POST", "/v1/text-to-image", body | {"seed": seed}, flood + ASYNC)
                if status != 202:
                    break
                accepted += 1
            check(accepted >= 300, f"only {accepted} jobs are accepted")
            before = server.metric("kandinsky_jobs_finished_total")
            took = ask(300)
            ended = server.metric("kandinsky_jobs_finished_total") - before - 1
            print(f"  a job takes {idle:.2f} s alone, {took:.2f} s beside {accepted} of another key, of which {ended:.0f} end meanwhile")
            check(ended <= 16, f"{ended} jobs of another key ended before it did")
        finally:
            server.stop()


@attack(quick=False, own_server=True)
def a_clock_that_leaps():
    """Two days ahead and back, and two days back, for some seconds each: nothing expires, and jobs go on."""
    libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not libraries:
        raise LeftOut("libfaketime is missing")
    with tempfile.TemporaryDirectory() as folder:
        def leap(to):
            with open(f"{folder}/clock", "w") as clock:
                clock.write(to)

        leap("+0")
        faked = [f"LD_PRELOAD={libraries[0]}", f"FAKETIME_TIMESTAMP_FILE={folder}/clock"]
        faked += ["FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "DONT_FAKE_MONOTONIC=1"]
        server = Server(command=["env", *faked], jobs__clean_interval_s=1)
        try:
            body = {"prompt": "red heart", "steps": 2}
            done = [submit(server, body | {"seed": seed}) for seed in range(3)]
            all_succeed(server, done)
            for to in ["+2d", "-2d"]:
                job = submit(server, body | {"steps": 200})
                leap(to)
                for _ in range(6):
                    time.sleep(1)
                    status, head, _ = server.ask("GET", "/healthz")
                    check(status == 200, "/healthz")
                date = next(line for line in head.splitlines() if line.lower().startswith("date:"))
                shift = email.utils.parsedate_to_datetime(date[5:].strip()).timestamp() - time.time()
                check(abs(shift) > 86_400, f"the server's clock did not leap: {date}")
                during = submit(server, body)
                leap("+0")
                time.sleep(3)
                for finished in done:
                    status, _, _ = server.ask("GET", f"/v1/jobs/{finished}/images/0")
                    check(status == 200, f"an image is answered {status} after a leap of {to}")
                check(status_of(server, job) in ("queued", "running", "succeeded"), f"{status_of(server, job)}")
                all_succeed(server, [job, during], 240)
            check("panicked" not in server.log(), "it panicked")
        finally:
            server.stop()

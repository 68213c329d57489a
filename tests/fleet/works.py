"""What a fleet can do that one server can: any node serves any job."""

import contextlib
import json
import secrets
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from load import digest, job, request, submit
from machines import ask, until


def read_events(api, path, headers=None, until_event=None, ready=None, body=None):
    """Events of a stream until it ends, or until one of this name."""
    events, headers = [], dict(headers or {})
    if body is not None:
        body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    with urllib.request.urlopen(urllib.request.Request(api.url + path, body, headers), timeout=60) as stream:
        if ready:
            ready.set()
        event = {}
        for line in stream:
            line = line.decode().rstrip("\n")
            if not line:
                if "event" in event:
                    events.append(event)
                    if event["event"] == until_event:
                        return events
                event = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = value
    return events


def works(fleet):
    """Any node serves any job: waiting calls, events, images, cancellation."""
    first, second = fleet.apis
    answer = ask(f"{first.url}/v1/text-to-image", request(1), headers={"Accept": "image/png"})
    assert answer.status == 200 and answer.body[:4] == b"\x89PNG"
    id = submit(first, 2, steps=30)
    events = read_events(second, f"/v1/jobs/{id}/events")
    assert events[-1]["event"] == "completed" and any(event["event"] == "progress" for event in events), events
    numbers = [int(event["id"]) for event in events]
    assert numbers == sorted(set(numbers)), numbers
    assert job(second, id)["status"] == "succeeded"
    assert digest(first, id) == digest(second, id)
    # A stream of OpenAI's surface has the images, which another process stored.
    events = read_events(first, "/v1/images/generations", body={**request(5), "n": 2, "stream": True})
    assert [event["event"] for event in events] == ["image_generation.completed"] * 2, events
    # One that runs is canceled at the other node.
    id = submit(first, 3, steps=100, n=2)
    until("it runs", lambda: job(second, id)["status"] == "running")
    assert ask(f"{second.url}/v1/jobs/{id}/cancel", method="POST").status in (200, 202)
    until("it is canceled", lambda: job(first, id)["status"] == "canceled", 5)
    # All events of all jobs, at the node that did not accept them.
    ready, heard = threading.Event(), []
    listener = threading.Thread(target=lambda: heard.extend(
        read_events(second, "/v1/jobs/events", until_event="completed", ready=ready)))
    listener.start()
    ready.wait(10)
    id = submit(first, 4)
    listener.join(30)
    assert heard and json.loads(heard[-1]["data"])["id"] == id, heard


def resumes(fleet):
    """A stream that moves to another node misses nothing and repeats nothing."""
    first, second = fleet.apis
    id = submit(first, 5, steps=60, n=2)
    seen = read_events(first, f"/v1/jobs/{id}/events", until_event="progress")
    last = seen[-1]["id"]
    rest = read_events(second, f"/v1/jobs/{id}/events", headers={"Last-Event-ID": last})
    numbers = [int(event["id"]) for event in rest]
    assert rest[-1]["event"] == "completed" and numbers == sorted(set(numbers)) and numbers[0] > int(last), (last, rest)
    again = read_events(first, f"/v1/jobs/{id}/events", headers={"Last-Event-ID": rest[-1]["id"]})
    assert again == [], again


def make_key(fleet, *limits):
    made = subprocess.run([fleet.binary, "keys", "create", *limits], env=fleet.apis[0].env, cwd=fleet.folder,
                          capture_output=True, text=True, check=True)
    return {"Authorization": f"Bearer {made.stdout.strip()}"}


@contextlib.contextmanager
def keys_required(fleet):
    """API nodes that take requests with keys alone, for a while."""
    usual = {api: api.env for api in fleet.apis}

    def restart(env):
        for api in fleet.apis:
            api.stop()
            api.env = {**usual[api], **env}
            api.start()
        for api in fleet.apis:
            api.ready()

    restart({"KANDINSKY__AUTH__REQUIRED": "always", "KANDINSKY__AUTH__URL_SECRET": secrets.token_hex(32)})
    try:
        yield
    finally:
        restart({})


def submit_with(fleet, key, number, **fields):
    """Through both nodes in turn."""
    body = request(number, **fields)
    return ask(f"{fleet.apis[number % 2].url}/v1/text-to-image", body, headers={"Prefer": "respond-async", **key})


def jobs_of(fleet, key, **query):
    query = urllib.parse.urlencode({"limit": 100, **query})
    return ask(f"{fleet.apis[0].url}/v1/jobs?{query}", headers=key).json()["data"]


def a_flood_of_one_key_lets_others_pass(fleet):
    """Another key's job does not wait for what a key has waiting in the whole fleet, through whichever node it came."""
    with keys_required(fleet):
        flood, other = make_key(fleet), make_key(fleet)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda n: submit_with(fleet, flood, n, steps=60, n=2), range(60)))
        assert all(answer.status == 202 for answer in answers), [(answer.status, answer.body) for answer in answers]
        id = submit_with(fleet, other, 0).json()["id"]
        def has_ended():
            return ask(f"{fleet.apis[1].url}/v1/jobs/{id}", headers=other).json()["status"] == "succeeded"
        until("the other key's job ends", has_ended, 120)
        left = [job["id"] for status in ("queued", "running") for job in jobs_of(fleet, flood, status=status)]
        assert len(left) > 30, f"{60 - len(left)} of the flood's 60 jobs went first"
        for job in left:
            assert ask(f"{fleet.apis[0].url}/v1/jobs/{job}", method="DELETE", headers=flood).status == 204


def a_key_has_its_limits_at_all_nodes(fleet):
    """Jobs at once and images of the day are counted by the database, whichever nodes the requests come to."""
    with keys_required(fleet):
        key = make_key(fleet, "--concurrency", "3", "--daily-images", "4")

        def send(number):
            return submit_with(fleet, key, number, steps=100, width=128, height=128)

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(send, range(12)))
        taken = [answer.json()["id"] for answer in answers if answer.status == 202]
        refused = [answer for answer in answers if answer.status == 429]
        assert len(taken) == 3 and len(refused) == 9, [answer.status for answer in answers]
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused), [dict(a.headers) for a in refused]
        first, second = fleet.apis
        for id in taken[:2]:
            assert ask(f"{second.url}/v1/jobs/{id}", method="DELETE", headers=key).status == 204
        def count():
            return sum(job["status"] in ("queued", "running") for job in jobs_of(fleet, key))
        until("one is left", lambda: count() <= 1)
        # What was deleted costs nothing: one of four images is taken, and as many may run as before.
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(send, range(6)))
        assert sum(answer.status == 202 for answer in answers) in (2, 3), [answer.status for answer in answers]
        for id in [job["id"] for job in jobs_of(fleet, key)]:
            assert ask(f"{first.url}/v1/jobs/{id}", method="DELETE", headers=key).status == 204


def requests_a_minute_are_of_the_whole_fleet(fleet):
    """However many nodes they come to; and every node says when there is room again."""
    with keys_required(fleet):
        key = make_key(fleet, "--rate", "30")

        def send(number):
            return ask(f"{fleet.apis[number % 2].url}/v1/jobs?limit=1", headers=key)

        begun = time.monotonic()
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(send, range(80)))
        took = time.monotonic() - begun
        taken = sum(answer.status == 200 for answer in answers)
        # One is refilled in two seconds.
        assert 30 <= taken <= 30 + took / 2, (taken, took)
        refused = [answer for answer in answers if answer.status == 429]
        assert len(refused) == 80 - taken, [answer.status for answer in answers]
        assert all(answer.headers["retry-after"] in ("1", "2") for answer in refused), [a.headers["retry-after"] for a in refused]
        time.sleep(int(refused[-1].headers["retry-after"]))
        assert any(send(number).status == 200 for number in range(2))


def the_fleet_is_shown(fleet):
    """`kandinsky fleet`: workers as they are, and jobs that wait and run."""
    def look(*arguments):
        env = fleet.apis[0].env
        return subprocess.run([fleet.binary, "fleet", *arguments], env=env, capture_output=True, text=True, check=True).stdout

    def states():
        return sorted(worker["state"] for worker in json.loads(look("--json"))["workers"])
    until("all workers are heard of", lambda: states() == ["ready"] * len(fleet.workers))
    ids = [submit(fleet.apis[0], seed, steps=100, n=2) for seed in range(8)]
    def runs():
        view = json.loads(look("--json"))
        queues = [sum(queue[state] for queue in view["queues"]) for state in ("waiting", "in_flight")]
        return view["jobs"]["running"] > 0 and view["jobs"]["queued"] > 0 and all(queues)
    until("jobs wait and run", runs)
    assert "kandinsky-mini" in look() and "ready" in look()
    sleeper = fleet.workers[0]
    sleeper.signal(signal.SIGSTOP)
    until("it is silent", lambda: "silent" in states())
    sleeper.signal(signal.SIGCONT)
    until("it is ready again", lambda: states() == ["ready"] * len(fleet.workers))
    metrics = ask(f"{fleet.apis[1].url}/metrics").body.decode()
    assert f'kandinsky_fleet_workers{{state="ready"}} {len(fleet.workers)}' in metrics, metrics
    for id in ids:
        ask(f"{fleet.apis[0].url}/v1/jobs/{id}", method="DELETE")

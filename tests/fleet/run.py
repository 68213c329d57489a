"""Cases of a fleet: what it can do, and what may happen to it. `run.py TOOLS BINARY [CASE]...`

Each case is a function; a fleet is started for all of them, and repaired by each. Every job ends once, with the image that an
undisturbed fleet makes.
"""

import hashlib
import json
import shutil
import signal
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from machines import LEASE_S, Fleet, ask, until
from tracing import Collector

JOBS = 24
REFERENCE = {}


def request(seed, **fields):
    return {"prompt": "red heart", "seed": seed, "steps": 6, "prior": {"steps": 4}, **fields}


def submit(api, seed, **fields):
    answer = ask(f"{api.url}/v1/text-to-image", request(seed, **fields), headers={"Prefer": "respond-async"})
    assert answer.status == 202, (answer.status, answer.body)
    return answer.json()["id"]


def job(api, id):
    answer = ask(f"{api.url}/v1/jobs/{id}")
    assert answer.status == 200, (answer.status, answer.body)
    return answer.json()


def digest(api, id):
    answer = ask(f"{api.url}/v1/jobs/{id}/images/0")
    assert answer.status == 200, (answer.status, answer.body)
    return hashlib.sha256(answer.body).hexdigest()


def all_end(api, ids, patience=120):
    """Every job succeeds, with the image of its seed."""
    def ended():
        return all(job(api, id)["status"] in ("succeeded", "failed", "canceled") for id in ids.values())
    until(f"{len(ids)} jobs end", ended, patience)
    for seed, id in ids.items():
        found = job(api, id)
        assert found["status"] == "succeeded", found
        assert digest(api, id) == reference(api, seed), f"the image of seed {seed} is another one"


def reference(api, seed):
    if seed not in REFERENCE:
        id = submit(api, seed)
        until("a job ends", lambda: job(api, id)["status"] == "succeeded")
        REFERENCE[seed] = digest(api, id)
    return REFERENCE[seed]


def submit_all(fleet, count=JOBS):
    """Through both nodes in turn."""
    return {seed: submit(fleet.apis[seed % 2], seed) for seed in range(count)}


def read_events(api, path, headers=None, until_event=None, ready=None):
    """Events of a stream until it ends, or until one of this name."""
    import urllib.request
    events = []
    with urllib.request.urlopen(urllib.request.Request(api.url + path, headers=headers or {}), timeout=60) as stream:
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


def one_trace_leads_through_all_processes(fleet):
    """From the caller's request to the steps of the worker, and to its store."""
    trace, caller = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    traced = [fleet.apis[0], *fleet.workers]
    usual = {server: server.env for server in traced}

    def restart(server, **env):
        server.stop()
        server.env = {**usual[server], **env}
        server.start()

    with Collector() as collector:
        for server in traced:
            restart(server, KANDINSKY__TRACES__OTLP_ENDPOINT=collector.url, KANDINSKY__TRACES__SERVICE_NAME=server.name)
        for server in traced:
            server.ready()
        answer = ask(f"{fleet.apis[0].url}/v1/text-to-image", request(8),
                     headers={"traceparent": f"00-{trace}-{caller}-01"})
        assert answer.status == 200, answer.body
        # What is left is sent on the way down.
        for server in traced:
            restart(server)
        for server in traced:
            server.ready()
        spans = collector.spans(trace)

    def way_up(span):
        while span.parent in spans:
            span = spans[span.parent]
        return span
    request_span = [span for span in spans.values() if span.name == "request"]
    assert len(request_span) == 1 and request_span[0].parent == caller, spans
    worker = [span for span in spans.values() if span.service.startswith("worker")]
    assert {"job", "claim", "prior", "decoder", "decode", "step", "store", "finish"} <= {span.name for span in worker}, spans
    assert all(way_up(span) is request_span[0] for span in spans.values()), spans


def workers_are_killed(fleet):
    ids = submit_all(fleet)
    for worker in fleet.workers:
        time.sleep(1)
        worker.kill()
        worker.start()
    for worker in fleet.workers:
        worker.ready()
    all_end(fleet.apis[0], ids)


def a_waiting_call_survives_its_worker(fleet):
    first = fleet.apis[0]
    others = fleet.workers[1:]
    for worker in others:
        worker.stop()
    with ThreadPoolExecutor() as pool:
        body = request(6, steps=80, n=2)
        call = pool.submit(ask, f"{first.url}/v1/text-to-image", body)
        until("it runs", lambda: [j for j in jobs(first, "running")])
        fleet.workers[0].kill()
        for worker in others:
            worker.start().ready()
        fleet.workers[0].start().ready()
        assert call.result().status == 200, call.result().body


def jobs(api, state):
    return ask(f"{api.url}/v1/jobs?status={state}").json()["data"]


def an_api_node_is_killed(fleet):
    ids = submit_all(fleet)
    fleet.apis[1].kill()
    all_end(fleet.apis[0], ids)
    fleet.apis[1].start().ready()


def a_worker_sleeps_past_its_lease(fleet):
    """It wakes up when others have done its jobs, and changes nothing."""
    ids = {seed: submit(fleet.apis[0], seed, steps=6) for seed in range(6)}
    sleeper = fleet.workers[0]
    sleeper.signal(signal.SIGSTOP)
    all_end(fleet.apis[0], ids)
    sleeper.signal(signal.SIGCONT)
    time.sleep(LEASE_S)
    all_end(fleet.apis[1], ids)
    assert sleeper.is_alive()


def nats_is_killed(fleet):
    ids = submit_all(fleet)
    time.sleep(0.5)
    fleet.nats.kill()
    during = submit(fleet.apis[0], 90)
    time.sleep(2)
    fleet.nats.start()
    all_end(fleet.apis[0], {**ids, 90: during})


def nats_loses_everything(fleet):
    ids = submit_all(fleet)
    time.sleep(0.5)
    fleet.nats.kill()
    shutil.rmtree(fleet.folder / "nats")
    fleet.nats.start()
    all_end(fleet.apis[1], ids)


def jobs_are_published_twice(fleet):
    ids = submit_all(fleet, 8)
    for _ in range(3):
        lines = []
        for id in ids.values():
            body = json.dumps({"v": 1, "job": id, "images": 1, "event": 0}).encode()
            lines.append((f"{fleet.prefix}.jobs.kandinsky-mini.normal.g1.{id}", body))
        fleet.tell_nats(*lines)
    all_end(fleet.apis[0], ids)


def s3_does_not_answer(fleet):
    ids = submit_all(fleet, 8)
    fleet.s3.signal(signal.SIGSTOP)
    time.sleep(5)
    fleet.s3.signal(signal.SIGCONT)
    all_end(fleet.apis[0], ids)


def everything_is_restarted(fleet):
    """One after another, under load: no job fails, and no node refuses what another takes."""
    ids, failures, done = {}, [], threading.Event()

    def load():
        seed = 0
        while not done.is_set() and seed < 60:
            for api in fleet.apis:
                try:
                    ids[seed] = submit(api, seed)
                    break
                except (OSError, AssertionError):
                    continue
            else:
                failures.append(seed)
            seed += 1
            time.sleep(0.1)

    loader = threading.Thread(target=load)
    loader.start()
    for server in [*fleet.workers, *fleet.apis]:
        server.stop()
        server.start().ready()
    done.set()
    loader.join()
    assert not failures and len(ids) > 5, (failures, len(ids))
    all_end(fleet.apis[0], ids, 180)


def overhead(fleet):
    """What a fleet adds to a small job: printed, and not judged."""
    api = fleet.apis[0]
    body = request(7, steps=1, prior={"steps": 1}, width=64, height=64)
    def once():
        begun = time.monotonic()
        answer = ask(f"{api.url}/v1/text-to-image", body)
        assert answer.status == 200, answer.body
        return (time.monotonic() - begun) * 1e3
    for _ in range(5):
        once()
    times = [once() for _ in range(40)]
    print(f"    a waiting call takes {statistics.median(times):.1f} ms in the median, at least {min(times):.1f} ms")


CASES = [works, resumes, one_trace_leads_through_all_processes, overhead, workers_are_killed, a_waiting_call_survives_its_worker, an_api_node_is_killed,
         a_worker_sleeps_past_its_lease, nats_is_killed, nats_loses_everything, jobs_are_published_twice, s3_does_not_answer,
         everything_is_restarted]


def main():
    tools, binary, *names = sys.argv[1:]
    known = {case.__name__: case for case in CASES}
    for name in names:
        if name not in known:
            sys.exit(f"no such case: {name} ({' '.join(known)})")
    with Fleet(tools, binary) as fleet:
        for case in [known[name] for name in names] or CASES:
            begun = time.monotonic()
            case(fleet)
            print(f"{time.monotonic() - begun:6.1f} s  {case.__name__}", flush=True)


if __name__ == "__main__":
    main()

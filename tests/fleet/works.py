"""What a fleet can do that one server can: any node serves any job."""

import json
import threading
import urllib.request

from load import digest, job, request, submit
from machines import ask, until


def read_events(api, path, headers=None, until_event=None, ready=None):
    """Events of a stream until it ends, or until one of this name."""
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

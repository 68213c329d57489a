"""What clients of a fleet do, and what they may expect: each job ends once, with the image of an undisturbed fleet, and with one
webhook.

Invariant: a request that got no answer is sent again, with its idempotency key, so it is one job however often that happens.
"""

import collections
import hashlib
import itertools
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from machines import ask, until

FINAL = ("succeeded", "failed", "canceled")
SEEDS = 6
# A client gives up a node that does not answer.
TIMEOUT_S = 3
REFERENCE = {}


def request(seed, steps=6, **fields):
    return {"prompt": "red heart", "seed": seed, "steps": steps, "prior": {"steps": 4}, **fields}


class Receiver(ThreadingHTTPServer):
    """Whom webhooks are sent to: by job the ids and the names of messages."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Hook)
        self.messages = collections.defaultdict(dict)
        self.repeated = 0
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        messages = self.server.messages[body["data"]["id"]]
        self.server.repeated += self.headers["webhook-id"] in messages
        messages[self.headers["webhook-id"]] = body["type"]
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


RECEIVER = Receiver()


def submit(api, seed, key=None, timeout=TIMEOUT_S * 10, **fields):
    body = request(seed, webhook={"url": RECEIVER.url}, **fields)
    headers = {"Prefer": "respond-async", "Idempotency-Key": key or str(uuid.uuid4())}
    answer = ask(f"{api.url}/v1/text-to-image", body, headers=headers, timeout=timeout)
    assert answer.status in (200, 202), (answer.status, answer.body)
    return answer.json()["id"]


def submit_somewhere(fleet, seed, first, refused, **fields):
    """To one node after another until one takes it; `refused` is given what all of them answered otherwise."""
    key = str(uuid.uuid4())

    def take():
        answers = []
        for api in fleet.apis[first:] + fleet.apis[:first]:
            try:
                return submit(api, seed, key, TIMEOUT_S, **fields)
            except (OSError, AssertionError) as error:
                answers.append(f"{api.name}: {error}")
        refused.append(answers)
        time.sleep(0.2)
    return until("a node takes a job", take)


def submit_all(fleet, count, steps=6):
    """Through both nodes in turn; gives ids with their seeds and steps."""
    return {submit(fleet.apis[n % 2], n % SEEDS, steps=steps): (n % SEEDS, steps) for n in range(count)}


def job(api, id):
    answer = ask(f"{api.url}/v1/jobs/{id}")
    assert answer.status == 200, (answer.status, answer.body)
    return answer.json()


def has_ended(api, id):
    return job(api, id)["status"] in FINAL


def digest(api, id):
    answer = ask(f"{api.url}/v1/jobs/{id}/images/0")
    assert answer.status == 200, (id, answer.status, answer.body)
    return hashlib.sha256(answer.body).hexdigest()


def reference(api, made):
    if made not in REFERENCE:
        seed, steps = made
        id = submit(api, seed, steps=steps)
        until("a job ends", lambda: job(api, id)["status"] == "succeeded")
        REFERENCE[made] = digest(api, id)
    return REFERENCE[made]


def wait_for_ends(api, ids, patience=120):
    left = set(ids)

    def ended():
        left.difference_update([id for id in left if has_ended(api, id)])
        return not left
    try:
        until(f"{len(ids)} jobs end", ended, patience)
    except AssertionError as error:
        raise AssertionError(f"{error}: {[job(api, id) for id in sorted(left)][:3]} of {len(left)}") from None


def all_succeed(api, ids, patience=120):
    """Every job of these ids with their seeds and steps ends once, with its image, and its end is announced once."""
    wait_for_ends(api, ids, patience)
    for id, made in ids.items():
        found = job(api, id)
        assert found["status"] == "succeeded", found
        assert digest(api, id) == reference(api, made), f"the image of seed {made[0]} is another one"
    announced_once(ids, "job.succeeded")


def announced_once(ids, event):
    for id in ids:
        until(f"the end of {id} is announced", lambda id=id: RECEIVER.messages[id])
    time.sleep(0.2)
    for id in ids:
        assert list(RECEIVER.messages[id].values()) == [event], (id, RECEIVER.messages[id])


class Load:
    """Jobs one after another, as long as it lasts."""

    def __init__(self, fleet, pause=0.25, steps=6):
        self.fleet, self.pause, self.steps = fleet, pause, steps
        self.ids, self.refused, self.error, self.over = {}, [], None, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            for n in itertools.count():
                if self.over.is_set():
                    return
                id = submit_somewhere(self.fleet, n % SEEDS, n % 2, self.refused, steps=self.steps)
                self.ids[id] = (n % SEEDS, self.steps)
                self.over.wait(self.pause)
        except BaseException as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        until("there is load", lambda: len(self.ids) >= 4 or self.error)
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        if self.error:
            raise self.error

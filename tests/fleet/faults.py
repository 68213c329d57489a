"""What may happen to the processes of a fleet: they are killed, stopped, restarted, and lose what they had."""

import json
import random
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from load import SEEDS, Load, all_succeed, announced_once, job, request, submit, submit_all, wait_for_ends
from machines import LEASE_S, ask, until

JOBS = 24


def jobs(api, state):
    return ask(f"{api.url}/v1/jobs?status={state}").json()["data"]


def workers_are_killed(fleet):
    ids = submit_all(fleet, JOBS)
    for worker in fleet.workers:
        time.sleep(1)
        worker.kill()
        worker.start()
    for worker in fleet.workers:
        worker.ready()
    all_succeed(fleet.apis[0], ids)


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


def waiting_calls_end_whatever_becomes_of_their_events(fleet):
    """While their node is apart from NATS, and when NATS dies and loses everything in the middle."""
    first, second = fleet.apis
    link = fleet.link(first, "nats")

    def lose_everything():
        fleet.nats.kill()
        shutil.rmtree(fleet.folder / "nats")
        fleet.nats.start()
    with ThreadPoolExecutor() as pool:
        for happens in (link.silence, link.cut, lose_everything):
            call = pool.submit(ask, f"{first.url}/v1/text-to-image", request(6, steps=80, n=2))
            until("it runs", lambda: jobs(second, "running"))
            happens()
            assert call.result().status == 200, call.result().body
            link.heal()


def workers_are_killed_ten_times(fleet):
    """From outside, whatever they do: their jobs lose time, and no more."""
    api, chance = fleet.apis[0], random.Random(1)
    long = submit(api, 1, steps=150, width=128, height=128)
    ids = submit_all(fleet, SEEDS)
    for _ in range(10):
        until("the long job runs", lambda: job(api, long)["status"] == "running")
        time.sleep(chance.uniform(0, 0.4))
        for worker in fleet.workers:
            worker.kill()
        for worker in fleet.workers:
            worker.start().ready()
    all_succeed(api, ids)
    wait_for_ends(api, [long])
    assert job(api, long)["status"] == "succeeded", job(api, long)
    announced_once([long], "job.succeeded")


def a_job_that_kills_its_workers_is_found_out(fleet):
    """It fails, and the others do not. What makes it kill is here: whoever takes its first decoder step dies of it."""
    api = fleet.apis[0]
    ids = submit_all(fleet, SEEDS)
    # Its steps are long enough to be seen.
    poison = submit(api, 1, steps=3, width=256, height=256)
    ids.update(submit_all(fleet, SEEDS))
    deaths, over = [], threading.Event()

    def kill():
        while not over.wait(0.002):
            for worker in fleet.workers:
                if not worker.is_alive():
                    worker.start()
                elif any(entry["job"]["id"] == poison and entry["place"] == "decoder 0" for entry in worker.noted()):
                    worker.kill()
                    deaths.append(worker.name)
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        wait_for_ends(api, [poison])
    finally:
        over.set()
        killer.join()
    for worker in fleet.workers:
        if not worker.is_alive():
            worker.start()
        worker.ready()
    assert job(api, poison)["status"] == "failed", job(api, poison)
    # One death may have had other suspects; then there are three of which it alone can be the cause.
    assert 3 <= len(deaths) <= 5, deaths
    all_succeed(api, ids)
    announced_once([poison], "job.failed")


def an_api_node_is_killed(fleet):
    ids = submit_all(fleet, JOBS)
    fleet.apis[1].kill()
    all_succeed(fleet.apis[0], ids)
    fleet.apis[1].start().ready()


def a_worker_sleeps_past_its_lease(fleet):
    """It wakes up when others have done its jobs, and changes nothing."""
    ids = submit_all(fleet, 6, steps=30)
    sleeper = fleet.workers[0]
    until("it works", sleeper.noted)
    sleeper.signal(signal.SIGSTOP)
    all_succeed(fleet.apis[0], ids)
    sleeper.signal(signal.SIGCONT)
    time.sleep(LEASE_S)
    all_succeed(fleet.apis[1], ids)
    assert sleeper.is_alive()


def nats_is_killed(fleet):
    ids = submit_all(fleet, JOBS)
    time.sleep(0.5)
    fleet.nats.kill()
    ids[submit(fleet.apis[0], 0)] = (0, 6)
    time.sleep(2)
    fleet.nats.start()
    all_succeed(fleet.apis[0], ids)


def nats_loses_everything(fleet):
    ids = submit_all(fleet, JOBS)
    time.sleep(0.5)
    fleet.nats.kill()
    shutil.rmtree(fleet.folder / "nats")
    fleet.nats.start()
    all_succeed(fleet.apis[1], ids)


def jobs_are_published_twice(fleet):
    ids = submit_all(fleet, JOBS)
    for _ in range(3):
        lines = []
        for id in ids:
            body = json.dumps({"v": 1, "job": id, "images": 1, "event": 0}).encode()
            lines.append((f"{fleet.prefix}.jobs.kandinsky-mini.normal.g1.{id}", body))
        fleet.tell_nats(*lines)
    all_succeed(fleet.apis[0], ids)


def s3_is_away_for_a_minute(fleet):
    """Half of it without a word, half of it refusing."""
    links = [links["s3"] for links in fleet.links.values()]
    with Load(fleet) as load:
        for change in ("silence", "cut"):
            for link in links:
                getattr(link, change)()
            time.sleep(30)
        for link in links:
            link.heal()
        time.sleep(LEASE_S)
    all_succeed(fleet.apis[0], load.ids)


def postgres_is_away(fleet):
    with Load(fleet) as load:
        fleet.database.kill()
        time.sleep(30)
        fleet.database.start()
        time.sleep(LEASE_S)
    all_succeed(fleet.apis[0], load.ids)


def postgres_is_restarted(fleet):
    """Again and again, in the middle of whatever goes on."""
    with Load(fleet, pause=0.05) as load:
        for _ in range(5):
            time.sleep(1)
            fleet.database.kill()
            fleet.database.start()
    all_succeed(fleet.apis[0], load.ids)


def processes_are_stopped_as_they_start(fleet):
    """With their first word, as they connect, and in the moment in which they are ready: they end in order."""
    for server in (fleet.apis[1], fleet.workers[2]):
        server.stop()
        for words in ("", "connected to NATS", "ready on") * 3:
            server.start()
            while not server.since_start() or words not in server.since_start():
                assert server.is_alive(), server.since_start()
                time.sleep(0.0005)
            server.stop()
        server.start().ready()


def everything_is_restarted(fleet):
    """One after another, under load: no job fails, and no node refuses what another takes."""
    with Load(fleet, pause=0.1) as load:
        for server in [*fleet.workers, *fleet.apis]:
            server.stop()
            server.start().ready()
    assert not load.refused, load.refused
    all_succeed(fleet.apis[0], load.ids, 180)

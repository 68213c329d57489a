"""What may happen between processes of a fleet and its services: nothing arrives, connections break, all is slow; and clocks that
are wrong.
"""

import re
import time
from datetime import datetime, timezone

from load import Load, all_succeed, job, submit_all, wait_for_ends
from machines import LEASE_S, ask, until


def is_apart(role, service):
    """A process and a service that do not reach each other for two leases, first in silence, then with resets."""
    def case(fleet):
        server = {"worker": fleet.workers, "api": fleet.apis}[role][0]
        for how in ("silence", "cut"):
            apart(fleet, server, service, how)
    case.__name__ = f"{role}_and_{service}_are_apart"
    return case


def apart(fleet, server, service, how):
    link, other = fleet.link(server, service), fleet.apis[1]
    with Load(fleet, pause=0.4, steps=30) as load:
        if server in fleet.workers:
            until("it works", server.noted)
        getattr(link, how)()
        time.sleep(LEASE_S)
        early = list(load.ids)
        time.sleep(LEASE_S)
        # What a worker has drawn and cannot store waits with it; all else is done by others.
        if server not in fleet.workers or service != "s3":
            wait_for_ends(other, early, 20)
        link.heal()
        time.sleep(1)
    all_succeed(other, load.ids)
    assert server.is_alive()
    goes_on(fleet, server)


def goes_on(fleet, server):
    """It does its part again."""
    until(f"{server.name} is ready", lambda: ask(f"{server.url}/readyz").status == 200)
    if server in fleet.workers:
        before = ended(server)

        def more():
            wait_for_ends(fleet.apis[1], submit_all(fleet, 4))
            return ended(server) > before
        until(f"{server.name} works again", more)


def ended(worker):
    lines = ask(f"{worker.url}/metrics").body.decode()
    return sum(float(n) for n in re.findall(r"^kandinsky_jobs_finished_total\{.*\} (\S+)$", lines, re.MULTILINE))


def the_network_is_slow(fleet):
    """25 ms each way, between all."""
    links = [link for links in fleet.links.values() for link in links.values()]
    for link in links:
        link.slow(0.025)
    try:
        all_succeed(fleet.apis[0], submit_all(fleet, 12))
    finally:
        for link in links:
            link.heal()


def clocks_are_wrong(fleet):
    """By an hour: a worker's and an API node's, in both directions."""
    if not fleet.faketime:
        print("    left out: there is no libfaketime")
        return
    for ahead, behind in [(fleet.workers[0], fleet.apis[0]), (fleet.apis[0], fleet.workers[0])]:
        for server, offset in [(ahead, "+1h"), (behind, "-1h")]:
            server.stop()
            server.set_clock(fleet.faketime, offset)
            server.start().ready()
        with Load(fleet, pause=0.1) as load:
            time.sleep(LEASE_S)
            fleet.workers[1].kill()
            time.sleep(LEASE_S)
        all_succeed(fleet.apis[1], load.ids)
        for id in load.ids:
            found = job(fleet.apis[1], id)
            for field in ("created_at", "finished_at"):
                at = datetime.fromisoformat(found[field])
                assert abs((datetime.now(timezone.utc) - at).total_seconds()) < 300, found
        goes_on(fleet, fleet.workers[0])
        fleet.workers[1].start().ready()
    for server in (fleet.workers[0], fleet.apis[0]):
        server.stop()
        server.set_clock(None, None)
        server.start().ready()

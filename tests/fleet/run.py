"""Cases of a fleet: what it can do, and what may happen to it. `run.py TOOLS BINARY [--quick | CASE...]`

A fleet is started for all cases, and repaired by each. Every job ends once, with the image that an undisturbed fleet makes, and with
one webhook. `--quick`: one of each kind, in less than a minute and a half.
"""

import sys
import time

import faults
import load
import partitions
import tracing
import works
from machines import Fleet
from partitions import is_apart

QUICK = [works.works, works.resumes, faults.workers_are_killed, faults.a_worker_sleeps_past_its_lease,
         faults.nats_loses_everything, faults.jobs_are_published_twice, faults.everything_is_restarted]
CASES = [works.works, works.resumes, works.the_fleet_is_shown, works.a_key_has_its_limits_at_all_nodes,
         works.requests_a_minute_are_of_the_whole_fleet,
         works.a_flood_of_one_key_lets_others_pass,
         tracing.one_trace_leads_through_all_processes, faults.workers_are_killed, faults.a_waiting_call_survives_its_worker,
         faults.waiting_calls_end_whatever_becomes_of_their_events,
         faults.an_api_node_is_killed, faults.a_worker_sleeps_past_its_lease, faults.nats_is_killed,
         faults.nats_loses_everything, faults.jobs_are_published_twice,
         *[is_apart(role, service) for role in ("worker", "api") for service in ("nats", "postgres", "s3")],
         partitions.the_network_is_slow, partitions.clocks_are_wrong, faults.postgres_is_restarted, faults.postgres_is_away,
         faults.s3_is_away_for_a_minute, faults.a_job_that_kills_its_workers_is_found_out,
         faults.workers_are_killed_ten_times, faults.processes_are_stopped_as_they_start, faults.everything_is_restarted]


def main():
    tools, binary, *names = sys.argv[1:]
    known = {case.__name__: case for case in CASES}
    chosen = QUICK if names == ["--quick"] else [known.get(name) or name for name in names] or CASES
    for case in chosen:
        if isinstance(case, str):
            sys.exit(f"no such case: {case} ({' '.join(known)})")
    begun = time.monotonic()
    with Fleet(tools, binary) as fleet:
        print(f"{time.monotonic() - begun:6.1f} s  the fleet has started", flush=True)
        for case in chosen:
            begun_case = time.monotonic()
            try:
                case(fleet)
            except BaseException:
                print(f"failed  {case.__name__}", flush=True)
                raise
            print(f"{time.monotonic() - begun_case:6.1f} s  {case.__name__}", flush=True)
    print(f"{time.monotonic() - begun:6.1f} s  {len(chosen)} cases, {len(load.RECEIVER.messages)} jobs with webhooks, of "
          f"which {load.RECEIVER.repeated} came twice", flush=True)


if __name__ == "__main__":
    main()

"""What a fleet costs, and whether `kandinsky bench fleet` predicts one. `measure.py TOOLS BINARY starts|overhead|rates|capacity|events|simulator`

Prints what docs/fleet.md says; judges nothing, since a machine that does other work at the same time measures that. All processes are
on this machine and share its cores, so rates are those of the whole; the processor time a job is what grows with it.
"""

import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from machines import Fleet, Server, ask, until

SMALL = {"prompt": "red heart", "steps": 1, "prior": {"steps": 1}, "width": 64, "height": 64}


def start(tools, binary, workers, apis, **settings):
    fleet = Fleet(tools, binary, workers, apis, direct=True)
    for server in fleet.apis + fleet.workers:
        server.env.update({"KANDINSKY__QUEUE__LEASE_S": "30", "KANDINSKY__LOG__LEVEL": "info", **settings})
    return fleet


def median_call(url, seeds):
    """ms of a waiting call for a small image, one after another on one connection."""
    times = []
    for seed in seeds:
        begun = time.monotonic()
        answer = ask(f"{url}/v1/text-to-image", {**SMALL, "seed": seed})
        assert answer.status == 200, answer.body
        times.append((time.monotonic() - begun) * 1e3)
    return times


def starts(tools, binary):
    with start(tools, binary, 0, 1) as fleet:
        api, took = fleet.apis[0], []
        for _ in range(20):
            api.stop()
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            api.command[api.command.index("--listen") + 1] = f"127.0.0.1:{port}"
            begun = time.monotonic()
            api.start()
            while True:
                try:
                    if ask(f"http://127.0.0.1:{port}/healthz").status == 200:
                        break
                except OSError:
                    time.sleep(0.001)
            took.append((time.monotonic() - begun) * 1e3)
            api.ready()
        print(f"an API node answers /healthz {statistics.median(took):.0f} ms after it was started, at most {max(took):.0f} ms")


def overhead(tools, binary):
    """The same calls to one server on SQLite and a folder, to one on PostgreSQL and S3, and to a fleet, in turns."""
    with start(tools, binary, 1, 1) as fleet:
        shared = dict(fleet.apis[0].env)
        for name in list(shared):
            if name.startswith("KANDINSKY__BROKER"):
                del shared[name]
        alone = {k: v for k, v in shared.items() if "STORE" not in k and "PICTURES" not in k}
        servers = {}
        for name, env in [("one server, SQLite and a folder", alone), ("one server, PostgreSQL and S3", shared)]:
            folder = str(fleet.folder / f"serve{len(servers)}")
            command = [binary, "serve", "--listen", "127.0.0.1:0", "--data", folder]
            servers[name] = Server(f"serve{len(servers)}", command, fleet.folder, env).start().ready()
        try:
            servers["a fleet"] = fleet.apis[0]
            times = {name: [] for name in servers}
            for turn in range(12):
                for name, server in servers.items():
                    found = median_call(server.url, range(turn * 100, turn * 100 + 20))
                    times[name] += found if turn else []
            for name, found in times.items():
                found.sort()
                print(f"{name:34} median {statistics.median(found):6.1f} ms, p95 {found[len(found) * 95 // 100]:6.1f} ms "
                      f"of {len(found)} calls")
            for server in list(servers.values())[:2] + fleet.workers + fleet.apis:
                print(f"    {server.name}: " + ", ".join(f"{op} {ms:.1f} ms" for op, ms in store_times(server).items()))
        finally:
            for server in list(servers.values())[:2]:
                server.stop()


def rates(tools, binary):
    """What it takes to count a call against a key's requests a minute, at all nodes."""
    from works import keys_required, make_key
    with start(tools, binary, 0, 1) as fleet, keys_required(fleet):
        keys = {"no limit": make_key(fleet), "a limit": make_key(fleet, "--rate", "1000000")}
        times = {name: [] for name in keys}
        for turn in range(12):
            for name, key in keys.items():
                for _ in range(100):
                    begun = time.monotonic()
                    assert ask(f"{fleet.apis[0].url}/v1/jobs?limit=1", headers=key).status == 200
                    times[name] += [(time.monotonic() - begun) * 1e3] if turn else []
        for name, found in times.items():
            found.sort()
            print(f"a key with {name}: median {statistics.median(found):.2f} ms, p95 {found[len(found) * 95 // 100]:.2f} ms")


def metric(server, name, label=""):
    text = ask(f"{server.url}/metrics").body.decode()
    values = re.findall(rf"^{name}(?:\{{([^}}]*)\}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for labels, value in values if label in labels)


def store_times(server):
    text = ask(f"{server.url}/metrics").body.decode()
    times = {}
    for op, total in re.findall(r'^kandinsky_store_operation_duration_seconds_sum\{op="(\w+)"\} (\S+)$', text, re.MULTILINE):
        count = metric(server, "kandinsky_store_operation_duration_seconds_count", f'op="{op}"')
        times[op] = float(total) / count * 1e3
    return times


def processor_seconds(fleet):
    """Of each kind of process so far."""
    def of(pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(fields[1])

    postgres = int(fleet.database.note.read_text().split()[0])
    sums = {"API": 0.0, "worker": 0.0, "NATS": of(fleet.nats.child.pid)[0], "S3 (moto)": of(fleet.s3.child.pid)[0]}
    sums["API"] = sum(of(api.child.pid)[0] for api in fleet.apis)
    sums["worker"] = sum(of(worker.child.pid)[0] for worker in fleet.workers)
    sums["PostgreSQL"] = 0.0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            seconds, parent = of(entry.name)
        except OSError:
            continue
        if postgres in (parent, int(entry.name)):
            sums["PostgreSQL"] += seconds
    return sums


def print_costs(fleet, before, jobs):
    after = processor_seconds(fleet)
    print("    processor time a job: " + ", ".join(f"{k} {(after[k] - before[k]) / jobs * 1e3:.2f} ms" for k in after))


def accept(url, seconds, seed):
    """Jobs that one client gets accepted one after another."""
    import http.client
    host = url.removeprefix("http://")
    connection, count, end = http.client.HTTPConnection(host), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        body = json.dumps({**SMALL, "seed": seed * 1_000_000 + count})
        connection.request("POST", "/v1/text-to-image", body, {"Content-Type": "application/json", "Prefer": "respond-async"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 202, answer.status
        count += 1
    return count


# Nothing is refused for being too much.
UNBOUNDED = {"KANDINSKY__QUEUE__MAX_JOBS": "1000000", "KANDINSKY__QUEUE__MAX_COST": "1000000000000000",
             "KANDINSKY__JOBS__MAX_KEPT": "1000000", "KANDINSKY__SERVER__MAX_STREAMS_PER_CLIENT": "1000"}


def capacity(tools, binary):
    settings = {**UNBOUNDED, "KANDINSKY__ENGINE__MAX_PICTURES_IN_FLIGHT": "64"}
    for apis in (1, 2):
        with start(tools, binary, 0, apis, **settings) as fleet:
            for clients in (1, 4, 16):
                before, begun = processor_seconds(fleet), time.monotonic()
                with ThreadPoolExecutor(clients) as pool:
                    counts = pool.map(lambda n: accept(fleet.apis[n % apis].url, 5, n), range(clients))
                    jobs = sum(counts)
                print(f"{apis} API nodes, {clients:2} clients: {jobs / (time.monotonic() - begun):7.0f} jobs a second are accepted")
                print_costs(fleet, before, jobs)
    for workers in (1, 2):
        with start(tools, binary, workers, 1, **settings) as fleet:
            before = processor_seconds(fleet)
            command = [binary, "bench", "--url", fleet.apis[0].url, "--concurrency", "16", "--duration", "10", "--steps", "1",
                       "--prior-steps", "1", "--json", "-"]
            report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            print(f"{workers} workers, 16 waiting calls of one step at 64x64: {report['requests_per_second']:.0f} jobs a second, "
                  f"median {report['latency']['p50_ms']:.0f} ms")
            print_costs(fleet, before, report["requests"])


def events(tools, binary):
    """Events of jobs that nobody works on, sent as a worker would: how fast they come out of streams."""
    with start(tools, binary, 0, 1, **UNBOUNDED) as fleet:
        api = fleet.apis[0]
        for streams in (1, 50, 500):
            ids = [ask(f"{api.url}/v1/text-to-image", {**SMALL, "seed": n}, headers={"Prefer": "respond-async"}).json()["id"]
                   for n in range(streams)]
            total, arrived, open_streams = 40_000 // streams, [], threading.Semaphore(0)

            def listen(id):
                with urllib.request.urlopen(f"{api.url}/v1/jobs/{id}/events", timeout=120) as stream:
                    open_streams.release()
                    count = 0
                    for line in stream:
                        count += line.startswith(b"data:")
                        if f'"step":{total}'.encode() in line.replace(b" ", b""):
                            arrived.append((time.monotonic(), count))
                            return
            threads = [threading.Thread(target=listen, args=(id,), daemon=True) for id in ids]
            for thread in threads:
                thread.start()
            for _ in ids:
                open_streams.acquire()
            time.sleep(1)
            # Ahead of what the node tells of places in the queue meanwhile.
            now = time.time_ns() // 1000 + 60_000_000
            lines = []
            for step in range(1, total + 1):
                for n, id in enumerate(ids):
                    body = {"number": now + step * streams + n, "kind": "progress", "stage": "decoder", "step": step, "steps": total,
                            "percent": 1.0, "eta_ms": 1}
                    lines.append((f"{fleet.prefix}.events.=.{id}.state", json.dumps(body).encode()))
            before, begun = processor_seconds(fleet), time.monotonic()
            fleet.tell_nats(*lines)
            sent = time.monotonic() - begun
            until("all heard", lambda: len(arrived) == streams)
            took = max(at for at, _ in arrived) - begun
            seen = sum(count for _, count in arrived)
            print(f"{streams:4} streams: {len(lines)} events were sent in {sent:.2f} s, and read by the API node in {took:.2f} s: "
                  f"{len(lines) / took:.0f} a second, of which {seen} were still news to their clients")
            print_costs(fleet, before, len(lines))
            for id in ids:
                ask(f"{api.url}/v1/jobs/{id}", method="DELETE")



# The simulator against a fleet of two workers.
SIDE, STEPS, IMAGES = 64, 25, 4


def picture(seed, n=1):
    return {"prompt": "red heart", "seed": seed, "steps": STEPS, "prior": {"steps": 2}, "width": SIDE, "height": SIDE, "n": n}


def stage_sums(fleet):
    """Seconds and numbers of steps of the decoder, their rows, and seconds of all else."""
    names = {"seconds": ("kandinsky_step_duration_seconds_sum", 'stage="decoder"'),
             "steps": ("kandinsky_step_duration_seconds_count", 'stage="decoder"'),
             "rows": ("kandinsky_batch_rows_sum", 'stage="decoder"'), "all": ("kandinsky_step_duration_seconds_sum", "")}
    sums = {key: sum(metric(worker, *name) for worker in fleet.workers) for key, name in names.items()}
    sums["else"] = sums["all"] - sums["seconds"]
    return sums


def during(fleet, what):
    before = stage_sums(fleet)
    result = what()
    return {key: value - before[key] for key, value in stage_sums(fleet).items()}, result


def call(fleet, seed, n=1):
    answer = ask(f"{fleet.apis[0].url}/v1/text-to-image", picture(seed, n))
    assert answer.status == 200, answer.body


def measure_costs(fleet):
    """Of the workers while both work."""
    rows, ms, beside = [], [], []
    with ThreadPoolExecutor(2) as pool:
        for n in (1, 2, 4):
            list(pool.map(lambda seed: call(fleet, seed, n), range(2)))
            sums, _ = during(fleet, lambda: list(pool.map(lambda seed: call(fleet, seed, n), range(4 if n > 2 else 8))))
            images = sums["rows"] / 2 / STEPS
            took, found = round(sums["seconds"] / sums["steps"] * 1e3, 3), round(sums["rows"] / sums["steps"], 2)
            beside.append(sums["else"] / images * 1e3)
            print(f"    {found} rows: {took} ms a step, {beside[-1]:.1f} ms an image beside them")
            # A worker takes no more rows than it found worth it.
            if not rows or found > rows[-1] * 1.1:
                rows.append(found)
                ms.append(took)
    times = []
    for seed in range(8):
        begun = time.monotonic()
        sums, _ = during(fleet, lambda: call(fleet, seed))
        times.append((time.monotonic() - begun - sums["all"]) * 1e3)
    ms = [max(ms[:i + 1]) for i in range(len(ms))]
    return {"area": SIDE * SIDE, "rows": rows, "ms": ms, "host_ms": 0, "image_ms": round(statistics.median(beside), 2),
            "job_ms": round(statistics.median(times), 2)}


def replay(fleet, arrivals):
    begun, ends = time.monotonic() + 0.5, []

    def one(n):
        due = begun + arrivals[n]
        time.sleep(max(0, due - time.monotonic()))
        call(fleet, n)
        ends.append((time.monotonic(), time.monotonic() - due))
    threads = [threading.Thread(target=one, args=(n,)) for n in range(len(arrivals))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    latencies = sorted(latency for _, latency in ends)
    assert len(ends) == len(arrivals)
    seconds = max(end for end, _ in ends) - begun - arrivals[0]
    return {"jobs a second": len(ends) / seconds, "median, s": statistics.median(latencies),
            "p95, s": latencies[-(-len(latencies) * 95 // 100) - 1]}


def simulator(tools, binary):
    seconds = float(os.environ.get("SECONDS_OF_LOAD", 60))
    with start(tools, binary, 2, 1, KANDINSKY__ENGINE__MAX_PICTURES_IN_FLIGHT=str(IMAGES), RAYON_NUM_THREADS="1") as fleet:
        costs = measure_costs(fleet)
        print(f"    costs: {json.dumps(costs)}")
        table = fleet.folder / "costs.json"
        table.write_text(json.dumps(costs))
        for load in (0.6, 1.0):
            chance, at, arrivals = random.Random(7), 0.0, []
            rate = load * 2 / (STEPS * costs["ms"][0] + costs["image_ms"]) * 1e3
            while (at := at + chance.expovariate(rate)) < seconds:
                arrivals.append(round(at, 4))
            trace = fleet.folder / "trace.jsonl"
            trace.write_text("".join(json.dumps({"at": at, "width": SIDE, "height": SIDE, "steps": STEPS}) + "\n" for at in arrivals))
            sums, real = during(fleet, lambda: replay(fleet, arrivals))
            real["rows a step"] = sums["rows"] / sums["steps"]
            command = [binary, "bench", "fleet", "--devices", "2", "--trace", str(trace), "--costs", str(table), "--json", "-"]
            lines = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            line = next(line for line in lines if line["name"] == f"{IMAGES} images")
            span = line["device_hours"] * 3600 / line["devices"] - arrivals[0]
            paper = {"jobs a second": line["jobs"] / span, "median, s": line["latency"]["p50_ms"] / 1e3,
                     "p95, s": line["latency"]["p95_ms"] / 1e3, "rows a step": line["rows_per_step"]}
            print(f"load {load}: {len(arrivals)} jobs; steps took {sums['seconds'] / sums['steps'] * 1e3:.1f} ms on average, "
                  f"{sums['else'] / len(arrivals) * 1e3:.1f} ms an image beside them; devices busy on paper {line['utilization']:.2f}, "
                  f"really {sums['all'] / 2 / (len(arrivals) / real['jobs a second']):.2f}")
            for name, value in real.items():
                print(f"    {name:14} real {value:7.3f}  on paper {paper[name]:7.3f}  error {100 * (paper[name] / value - 1):+6.1f} %")


if __name__ == "__main__":
    tools, binary, *names = sys.argv[1:]
    for name in names:
        {"starts": starts, "overhead": overhead, "capacity": capacity, "events": events, "rates": rates, "simulator": simulator}[name](tools, binary)

"""Asks a server for its health again and again, in a process of its own: `prober.py PORT LIMIT PAUSE`.

Run as a program it writes a line for each probe, until its standard input ends. As a module it starts such a program and
counts what came of it. Invariant: what it says is about the server. It shares no interpreter with the attacks, goes before them where
the system lets it, and says how late it was itself woken.
"""

import contextlib
import os
import select
import socket
import subprocess
import sys
import time

# As the chart's probes have it.
LIMIT = 5.0


def probe(port, limit):
    """How long it took, the status (0: none in time), and what it was waiting for."""
    started, phase = time.monotonic(), "connect"
    left = lambda: max(0.001, started + limit - time.monotonic())
    answer = b""
    try:
        with socket.socket() as connection:
            connection.settimeout(limit)
            connection.connect(("127.0.0.1", port))
            phase = "answer"
            connection.settimeout(left())
            connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            while b"\r\n\r\n" not in answer:
                connection.settimeout(left())
                part = connection.recv(4096)
                if not part:
                    phase = "closed"
                    break
                answer += part
    except OSError as error:
        phase += f":{type(error).__name__}"
    took = time.monotonic() - started
    status = int(answer.split()[1]) if b"\r\n\r\n" in answer and took <= limit else 0
    return took, status, phase


def main():
    port, limit, pause = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    with contextlib.suppress(OSError):
        os.nice(-10)
    late = 0.0
    while True:
        took, status, phase = probe(port, limit)
        print(f"{time.time():.3f} {took:.4f} {status} {phase} {late:.4f}", flush=True)
        due = time.monotonic() + pause
        if select.select([sys.stdin], [], [], pause)[0]:
            return
        late = max(0.0, time.monotonic() - due)


class Prober:
    """A process that probes a server."""

    def __init__(self, server, pause=0.5):
        command = [sys.executable, "-I", os.path.abspath(__file__), str(server.port), str(LIMIT), str(pause)]
        self.path = f"{server.folder.name}/probes"
        with open(self.path, "w") as lines:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=lines)

    def stop(self):
        """End it, and give all probes: took, status, what it waited for, and how late it was woken."""
        self.process.stdin.close()
        self.process.wait(LIMIT + 5)
        with open(self.path) as lines:
            rows = [line.split() for line in lines if line.count(" ") == 4]
        return [(float(took), int(status), phase, float(late)) for _, took, status, phase, late in rows]


def summary(probes):
    """What the probes were, in a line."""
    times = sorted(took for took, *_ in probes)
    part = lambda share: 1000 * times[min(len(times) - 1, int(len(times) * share))]
    slow, missed = [p for p in probes if p[0] > 1], [p for p in probes if p[1] != 200]
    late = 1000 * max(late for *_, late in probes)
    return (
        f"/healthz: {len(probes)} probes of at most {LIMIT:.0f} s, p50 {part(0.5):.0f} ms, p99 {part(0.99):.0f} ms, "
        f"most {1000 * times[-1]:.0f} ms; {len(slow)} over 1 s, {len(missed)} without an answer "
        f"{[(f'{took:.1f} s', status, phase) for took, status, phase, _ in missed]}; the prober was late by {late:.0f} ms at most"
    )


if __name__ == "__main__":
    main()

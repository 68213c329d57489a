"""One trace over all processes: the case, and a collector (OTLP over HTTP) that reads as much of the protocol as it needs."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from load import request
from machines import ask


def fields(data):
    """The fields of a protobuf message: numbers and their values, messages as bytes."""
    def varint(at):
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value, at
    at = 0
    while at < len(data):
        key, at = varint(at)
        kind = key & 7
        if kind == 0:
            value, at = varint(at)
        else:
            length, at = varint(at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
            value, at = data[at:at + length], at + length
        yield key >> 3, value


def all_of(data, *path):
    """The values at the end of a path of field numbers."""
    for number, value in fields(data):
        if number == path[0]:
            if len(path) == 1:
                yield value
            else:
                yield from all_of(value, *path[1:])


def one_of(data, number, default=b""):
    return next(all_of(data, number), default)


class Span:
    def __init__(self, service, data):
        self.service, self.name = service, one_of(data, 5).decode()
        self.trace, self.id, self.parent = (one_of(data, number).hex() for number in (1, 2, 4))

    def __repr__(self):
        return f"{self.service}/{self.name} of {self.trace}"


class Collector:
    def __enter__(self):
        self.bodies = bodies = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def spans(self, trace=None):
        """By their ids; of one trace, or of all."""
        found = {}
        for body in self.bodies:
            for resource in all_of(body, 1):
                attributes = {one_of(pair, 1): one_of(one_of(pair, 2), 1) for pair in all_of(resource, 1, 1)}
                service = attributes.get(b"service.name", b"").decode()
                for span in all_of(resource, 2, 2):
                    span = Span(service, span)
                    if trace in (None, span.trace):
                        found[span.id] = span
        return found


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
    assert len(request_span) == 1 and request_span[0].parent == caller, collector.spans()
    worker = [span for span in spans.values() if span.service.startswith("worker")]
    assert {"job", "claim", "prior", "decoder", "decode", "step", "store", "finish"} <= {span.name for span in worker}, spans
    assert all(way_up(span) is request_span[0] for span in spans.values()), spans

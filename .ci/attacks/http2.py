"""HTTP/2, as much of it as is needed to break rules with it."""

import contextlib
import socket
import struct
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


def request_head(path, method=b"POST"):
    fields = [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"127.0.0.1")]
    more = [(b"content-type", b"application/json")] if method == b"POST" else []
    return b"".join(literal(*field) for field in fields + more)


def ask_and_never_read(server, path, streams, source=None):
    """A connection with as many requests whose responses get no window."""
    connection = server.connect(source=source)
    # SETTINGS_INITIAL_WINDOW_SIZE of 0.
    connection.sendall(PREFACE + frame(4, 0, 0, struct.pack(">HI", 4, 0)))
    for stream in range(1, 2 * streams, 2):
        connection.sendall(frame(1, 5, stream, request_head(path, b"GET")))
    return connection


class H2Sender(threading.Thread):
    """Sends bodies that never end on many streams, as fast as the windows allow."""

    def __init__(self, server, streams, bytes_each, source=None):
        super().__init__(daemon=True)
        self.connection = server.connect(source=source)
        self.streams, self.bytes_each = streams, bytes_each
        self.sent = 0

    def run(self):
        windows = {stream: 65535 for stream in range(1, 2 * self.streams, 2)}
        left = dict.fromkeys(windows, self.bytes_each)
        whole, initial, pending = 65535, 65535, b""
        self.connection.sendall(PREFACE + frame(4, 0, 0, b""))
        for stream in windows:
            self.connection.sendall(frame(1, 4, stream, request_head(b"/v1/text-to-image")))
        self.connection.settimeout(0.2)
        with contextlib.suppress(OSError):
            while True:
                for stream in list(windows):
                    size = min(windows[stream], whole, left[stream], 16384)
                    if size > 0:
                        self.connection.sendall(frame(0, 0, stream, b" " * size))
                        windows[stream] -= size
                        left[stream] -= size
                        whole -= size
                        self.sent += size
                try:
                    data = self.connection.recv(1 << 16)
                    if not data:
                        return
                except TimeoutError:
                    data = b""
                pending += data
                while len(pending) >= 9 and len(pending) >= 9 + (size := int.from_bytes(pending[:3], "big")):
                    kind, flags, stream = pending[3], pending[4], int.from_bytes(pending[5:9], "big") & 0x7FFFFFFF
                    payload, pending = pending[9 : 9 + size], pending[9 + size :]
                    if kind == 8:
                        increment = int.from_bytes(payload, "big")
                        if stream == 0:
                            whole += increment
                        elif stream in windows:
                            windows[stream] += increment
                    elif kind == 4 and not flags & 1:
                        for at in range(0, len(payload), 6):
                            key, value = struct.unpack(">HI", payload[at : at + 6])
                            if key == 4:
                                windows = {stream: window + value - initial for stream, window in windows.items()}
                                initial = value
                        self.connection.sendall(frame(4, 1, 0, b""))
                    elif kind == 6 and not flags & 1:
                        self.connection.sendall(frame(6, 1, 0, payload))
                    elif kind == 3:
                        windows.pop(stream, None)

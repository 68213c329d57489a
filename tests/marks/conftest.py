"""What the checks of marks share: a server with settings of its own, and pictures from it. `.ci/marks` and `.ci/c2pa`
run them."""

import base64
import contextlib
import io
import json
import os
import re
import subprocess
import tempfile
import time
import urllib.request

import pytest
from PIL import Image

BINARY = os.environ["KANDINSKY_BINARY"]
FORMATS = ["png", "jpeg", "webp"]
# Few steps: these checks are about files.
QUICK = {"prompt": "red heart", "seed": 7, "steps": 3, "prior": {"steps": 2}}
VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"


def variables(settings: dict[str, str]) -> dict[str, str]:
    """Keys of the configuration, as the environment has them."""
    return {f"KANDINSKY__{key.replace('.', '__').upper()}": value for key, value in settings.items()}


class Server:
    def __init__(self, url: str, log: str):
        self.url, self.log = url, log

    def said(self) -> str:
        """Its log so far."""
        with open(self.log) as file:
            return file.read()

    def ask(self, path: str, body: dict | None = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.read()

    def draw(self, mode: str = "text-to-image", **body) -> bytes:
        """The file of one picture."""
        answer = json.loads(self.ask(f"/v1/{mode}", {**QUICK, **body}))
        return base64.b64decode(answer["images"][0]["b64_json"], validate=True)


@contextlib.contextmanager
def serving(settings: dict[str, str]):
    """A server with these settings, until it is no longer needed."""
    with tempfile.TemporaryDirectory() as data:
        log = os.path.join(data, "log")
        command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data", data]
        with open(log, "w") as out:
            process = subprocess.Popen(command, stderr=out, env={**os.environ, **variables(settings)})
        try:
            yield Server(address(process, log), log)
        finally:
            process.terminate()
            process.wait(30)


def address(process: subprocess.Popen, log: str) -> str:
    for _ in range(600):
        with open(log) as file:
            said = file.read()
        if ready := re.search(r"ready on (http:\S+)", said):
            return ready[1]
        assert process.poll() is None, said
        time.sleep(0.1)
    raise AssertionError(f"the server did not get ready: {said}")


def refused(settings: dict[str, str], *flags: str) -> str:
    """What a server says that does not start with these settings."""
    with tempfile.TemporaryDirectory() as data:
        command = [BINARY, "serve", "--listen", "127.0.0.1:0", "--data", data, *flags]
        environment = {**os.environ, **variables(settings)}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0, ended.stdout
    return ended.stderr


@pytest.fixture(scope="session")
def marked():
    """A server as it comes."""
    with serving({}) as server:
        yield server


def opened(file: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(file))
    image.load()
    return image


def pixels(file: bytes) -> bytes:
    return opened(file).convert("RGB").tobytes()


def b64(file: bytes) -> str:
    return base64.b64encode(file).decode()

"""What the tests of outside clients share: where the server is, and small pictures. `.ci/clients` runs them."""

import base64
import io
import os

import pytest
import requests
from PIL import Image

# Few steps: these tests are about the wire.
SHARED = {"steps": 4, "prior": {"steps": 3}}


@pytest.fixture(scope="session")
def server() -> str:
    return os.environ["KANDINSKY_URL"]


@pytest.fixture(scope="session")
def native(server):
    """Make one picture through the server's own endpoint."""

    def make(mode: str, **body) -> Image.Image:
        answer = requests.post(f"{server}/v1/{mode}", json={**SHARED, **body}, timeout=120)
        assert answer.status_code == 200, answer.text
        return decode(answer.json()["images"][0]["b64_json"])

    return make


def decode(b64: str) -> Image.Image:
    return opened(base64.b64decode(b64, validate=True))


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def pixels(image: Image.Image) -> bytes:
    return image.convert("RGB").tobytes()


def drawing(name: str = "picture.png", size: tuple[int, int] = (64, 64), blue: int = 40) -> io.BytesIO:
    """A gradient as a file: every pixel is different, so that a wrong one is seen."""
    image = Image.new("RGB", size)
    image.putdata([(4 * x % 256, 4 * y % 256, blue) for y in range(size[1]) for x in range(size[0])])
    return png(image, name)


def mask(name: str = "mask.png", size: tuple[int, int] = (64, 64)) -> io.BytesIO:
    """The right half is transparent."""
    image = Image.new("RGBA", size, (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (size[0] // 2, 0, size[0], size[1]))
    return png(image, name)


def png(image: Image.Image, name: str) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, "PNG")
    file.seek(0)
    file.name = name
    return file

"""The client that openapi-python-client generates from the contract. `.ci/clients` generates it as `generated`."""

import asyncio

import pytest
from generated import Client
from generated.api.generation import image_variations, text_to_image
from generated.models import ImageVariationsBody, JobAnswer, PriorBody, Problem, TextToImageBody

from conftest import decode, pixels

PROMPT = "red heart on a blue background"


@pytest.fixture(scope="module")
def client(server):
    return Client(base_url=server)


def body(**more) -> TextToImageBody:
    return TextToImageBody(prompt=PROMPT, seed=7, steps=4, prior=PriorBody(steps=3), **more)


def test_an_image(client, native):
    answer = text_to_image.sync(client=client, body=body(width=96))
    assert isinstance(answer, JobAnswer)
    [image] = answer.images
    assert (image.seed, image.width, image.height) == (7, 96, 64)
    picture = decode(image.b64_json)
    assert pixels(picture) == pixels(native("text-to-image", prompt=PROMPT, seed=7, width=96))


def test_an_image_from_an_image_asynchronously(client):
    async def make():
        first = await text_to_image.asyncio(client=client, body=body())
        image = first.images[0].b64_json
        shared = {"seed": 7, "steps": 4, "prior": PriorBody(steps=3)}
        return await image_variations.asyncio(client=client, body=ImageVariationsBody(image=image, **shared))

    assert decode(asyncio.run(make()).images[0].b64_json).size == (64, 64)


def test_a_problem(client):
    answer = text_to_image.sync_detailed(client=client, body=body(n=99))
    assert answer.status_code == 422 and isinstance(answer.parsed, Problem)
    assert [error.pointer for error in answer.parsed.errors] == ["/n"]

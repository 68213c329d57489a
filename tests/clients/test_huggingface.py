"""Hugging Face's inference client, pointed at the server."""

import base64
import os

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from conftest import drawing, pixels

PROMPT = "red heart on a blue background"
FEW = {"num_inference_steps": 4, "extra_body": {"prior": {"steps": 3}}}


@pytest.fixture(scope="module", params=["", "/models/kandinsky-mini"])
def client(server, request):
    return InferenceClient(model=f"{server}{request.param}", token=os.environ.get("KANDINSKY_KEY"))


def test_an_image_is_the_native_endpoints(client, native):
    parameters = {"negative_prompt": "green", "guidance_scale": 3.0, "width": 96, "height": 64, "seed": 7}
    image = client.text_to_image(PROMPT, scheduler="ddim", **parameters, **FEW)
    assert image.size == (96, 64)
    assert pixels(image) == pixels(native("text-to-image", prompt=PROMPT, scheduler="ddim", **parameters))


def test_without_parameters_the_servers_own_are_taken(server):
    # Fifty steps: the server's business, and still an image.
    assert InferenceClient(model=server).text_to_image(PROMPT).size == (64, 64)


def test_an_image_is_redrawn_as_by_the_native_endpoint(client, native):
    image = drawing().getvalue()
    own = {"strength": 0.6, "prior": {"steps": 3}, "seed": 7}
    made = client.image_to_image(image, prompt=PROMPT, num_inference_steps=4, **own)
    encoded = base64.b64encode(image).decode()
    assert pixels(made) == pixels(native("image-to-image", image=encoded, prompt=PROMPT, strength=0.6, seed=7))


def test_an_image_alone_gives_an_image_like_it(client):
    assert client.image_to_image(drawing().getvalue()).size == (64, 64)


def test_any_seed(client):
    first, second = (pixels(client.text_to_image(PROMPT, seed=-1, **FEW)) for _ in range(2))
    assert first != second


def test_errors_say_what_is_wrong(client):
    with pytest.raises(HfHubHTTPError) as caught:
        client.text_to_image(PROMPT, width=100_000, **FEW)
    assert caught.value.response.status_code in (400, 422)
    assert "parameters.width" in str(caught.value)
    with pytest.raises(HfHubHTTPError) as caught:
        client.text_to_image("a frobnicator in a box", **FEW)
    assert caught.value.response.status_code == 400


def test_another_model_is_not_there(server):
    with pytest.raises(HfHubHTTPError) as caught:
        InferenceClient(model=f"{server}/models/someone-else").text_to_image(PROMPT, **FEW)
    assert caught.value.response.status_code == 404

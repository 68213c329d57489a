"""OpenAI's Python SDK, unmodified."""

import asyncio
import base64
import io
import os

import openai
import pytest
import requests
from openai.types import (
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
)
from PIL import Image

from conftest import SHARED, decode, drawing, mask, opened, pixels

PROMPT = "red heart on a blue background"
OWN = {**SHARED, "seed": 7}


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"{server}/v1", api_key=os.environ.get("KANDINSKY_KEY", "none"), max_retries=0)


@pytest.fixture(scope="module")
def model(client) -> str:
    return client.models.list().data[0].id


def generate(client, **more):
    own = {**OWN, **more.pop("extra_body", {})}
    return client.images.generate(prompt=more.pop("prompt", PROMPT), extra_body=own, **more)


def test_an_image_is_the_native_endpoints(client, native):
    answer = generate(client)
    assert answer.created > 1_600_000_000 and answer.output_format == "png" and answer.size == "64x64"
    [image] = answer.data
    picture = decode(image.b64_json)
    assert picture.format == "PNG" and picture.size == (64, 64)
    assert pixels(picture) == pixels(native("text-to-image", prompt=PROMPT, seed=7))
    assert image.url is None and image.seed == 7


def test_the_models_name_and_openais_own_are_taken(client, model):
    pictures = {pixels(decode(generate(client, model=name).data[0].b64_json)) for name in (model, "gpt-image-1")}
    assert len(pictures) == 1


def test_what_has_no_meaning_here_is_taken(client):
    answer = generate(client, user="someone", quality="auto", background="auto", moderation="low", style="vivid")
    assert len(answer.data) == 1
    assert len(generate(client, size=None, n=None, response_format=None, output_format=None, quality=None).data) == 1


def test_a_url_leads_to_the_image(client):
    [image] = generate(client, response_format="url").data
    assert image.b64_json is None
    answer = requests.get(image.url, timeout=60)
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    assert pixels(opened(answer.content)) == pixels(decode(generate(client).data[0].b64_json))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_alias_answers_as_its_model_does(client):
    [image] = generate(client, model="dall-e-3").data
    assert image.b64_json is None and requests.get(image.url, timeout=60).headers["content-type"] == "image/png"
    [image] = client.images.create_variation(image=drawing(), extra_body=OWN).data
    assert image.b64_json is None and image.url
    assert client.models.retrieve("dall-e-3").id == "dall-e-3"


def test_the_sizes_of_openais_models_are_taken(client):
    answer = generate(client, model="gpt-image-1", size="1536x1024")
    assert answer.size == "1536x1024" and decode(answer.data[0].b64_json).size == (1536, 1024)
    assert answer.warnings[0]["code"] == "value_adjusted"


def test_what_is_ignored_is_reported(client):
    answer = generate(client, style="vivid", extra_body={"tiling": True})
    assert [warning["field"] for warning in answer.warnings] == ["/style", "/tiling"]


def test_every_image_has_a_seed_of_its_own(client):
    both = generate(client, n=2).data
    assert [image.seed for image in both] == [7, 8]
    alone = generate(client, extra_body={"seed": 8}).data[0]
    assert pixels(decode(both[1].b64_json)) == pixels(decode(alone.b64_json))
    assert pixels(decode(both[0].b64_json)) != pixels(decode(alone.b64_json))


@pytest.mark.parametrize(("size", "expected"), [("auto", (64, 64)), ("96x64", (96, 64)), ("64x80", (64, 80))])
def test_sizes(client, size, expected):
    answer = generate(client, size=size)
    assert decode(answer.data[0].b64_json).size == expected
    assert answer.size == f"{expected[0]}x{expected[1]}"


@pytest.mark.parametrize(("name", "expected"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_formats(client, name, expected):
    answer = generate(client, output_format=name)
    assert answer.output_format == name
    assert decode(answer.data[0].b64_json).format == expected


def test_compression_makes_files_smaller(client):
    small, large = (generate(client, output_format="jpeg", output_compression=c).data[0].b64_json for c in (10, 100))
    assert len(small) < len(large)


def test_a_stream_has_partial_images_and_ends_with_the_image(client):
    with generate(client, stream=True, partial_images=2) as stream:
        *partial, completed = list(stream)
    assert 1 <= len(partial) <= 2
    for index, event in enumerate(partial):
        assert isinstance(event, ImageGenPartialImageEvent)
        assert event.partial_image_index == index
        assert decode(event.b64_json).size[0] > 0
    assert isinstance(completed, ImageGenCompletedEvent)
    assert (completed.output_format, completed.size, completed.background) == ("png", "64x64", "opaque")
    assert completed.usage.total_tokens >= 0 and completed.created_at > 1_600_000_000
    assert pixels(decode(completed.b64_json)) == pixels(decode(generate(client).data[0].b64_json))


def test_a_stream_without_partial_images_is_the_image_alone(client):
    events = list(generate(client, stream=True, n=2))
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    assert pixels(decode(events[0].b64_json)) != pixels(decode(events[1].b64_json))


def test_an_edit_repaints_what_is_transparent_and_nothing_else(client):
    answer = client.images.edit(image=drawing(), mask=mask(), prompt=PROMPT, extra_body=OWN)
    before, after = Image.open(drawing()).convert("RGB"), decode(answer.data[0].b64_json).convert("RGB")
    left, right = (0, 0, 32, 64), (32, 0, 64, 64)
    assert after.size == (64, 64)
    assert pixels(after.crop(left)) == pixels(before.crop(left))
    assert pixels(after.crop(right)) != pixels(before.crop(right))


def test_a_mask_is_the_native_endpoints_alpha_mask(client, native):
    encoded = {name: base64.b64encode(file.getvalue()).decode() for name, file in [("image", drawing()), ("mask", mask())]}
    own = native("inpainting", **encoded, mask_convention="alpha", prompt=PROMPT, seed=7)
    answer = client.images.edit(image=drawing(), mask=mask(), prompt=PROMPT, extra_body=OWN)
    assert pixels(decode(answer.data[0].b64_json)) == pixels(own)


def test_edits_take_one_image_or_several_in_any_of_the_sdks_forms(client):
    for image in (drawing(), [drawing()], [drawing("a.png"), drawing("b.png", blue=200)], drawing().getvalue()):
        answer = client.images.edit(image=image, prompt=PROMPT, n=1, size="64x64", extra_body=OWN)
        assert decode(answer.data[0].b64_json).size == (64, 64)


def test_an_edit_streams(client):
    arguments = {"image": drawing(), "mask": mask(), "prompt": PROMPT, "extra_body": OWN}
    *partial, completed = list(client.images.edit(stream=True, partial_images=1, **arguments))
    assert len(partial) == 1 and isinstance(partial[0], ImageEditPartialImageEvent)
    assert isinstance(completed, ImageEditCompletedEvent)
    assert decode(completed.b64_json).size == (64, 64)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_variations(client):
    answer = client.images.create_variation(image=drawing(), n=2, response_format="b64_json", extra_body=OWN)
    first, second = (pixels(decode(image.b64_json)) for image in answer.data)
    assert first != second


def test_nested_fields_of_a_form_reach_the_model(client):
    pictures = []
    for steps in (1, 3):
        own = {**OWN, "prior": {"steps": steps}}
        answer = client.images.edit(image=drawing(), mask=mask(), prompt=PROMPT, extra_body=own)
        pictures.append(pixels(decode(answer.data[0].b64_json)))
    assert pictures[0] != pictures[1]


def test_models(client, model):
    listed = client.models.list()
    assert listed.object == "list" and listed.data[0].object == "model" and listed.data[0].owned_by
    assert client.models.retrieve(model).id == model
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("someone/else")
    assert caught.value.code == "model_not_found"


def test_moderations(client):
    [result] = client.moderations.create(input="a cat").results
    assert result.flagged is False and result.categories.violence is False
    assert result.category_scores.sexual_minors == 0 and result.categories.self_harm_intent is False
    results = client.moderations.create(input=["a cat", "a frobnicator"], model="omni-moderation-latest").results
    assert [result.flagged for result in results] == [False, True]
    assert results[1].categories.violence is True
    [result] = client.moderations.create(input=[{"type": "text", "text": "a frobnicator"}]).results
    assert result.flagged is True


def test_a_refused_prompt(client):
    with pytest.raises(openai.BadRequestError) as caught:
        generate(client, prompt="a frobnicator in a box")
    error = caught.value
    assert (error.code, error.type) == ("moderation_blocked", "image_generation_user_error")
    assert "frobnicator" not in error.message.lower()


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 99}, "n"),
        ({"size": "1x"}, "size"),
        ({"size": "100000x64"}, "size"),
        ({"output_format": "gif"}, "output_format"),
        ({"response_format": "tiff"}, "response_format"),
        ({"output_compression": 101, "output_format": "jpeg"}, "output_compression"),
        ({"background": "transparent"}, "background"),
        ({"stream": True, "partial_images": 9}, "partial_images"),
        ({"extra_body": {"prompt": None}}, "prompt"),
        ({"extra_body": {"steps": 0}}, "steps"),
        ({"extra_body": {"num_inference_steps": 0}}, "num_inference_steps"),
        ({"prompt": ""}, "prompt"),
        ({"quality": "ultra"}, "quality"),
        ({"extra_body": {"prior": {"steps": 100000}}}, "prior.steps"),
    ],
)
def test_bad_values_are_named(client, arguments, param):
    with pytest.raises(openai.BadRequestError) as caught:
        generate(client, **arguments)
    error = caught.value
    assert (error.param, error.type) == (param, "invalid_request_error")
    assert error.body["message"] and error.request_id


def test_bad_files_are_named(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(image=io.BytesIO(b"no picture"), prompt=PROMPT, extra_body=OWN)
    assert caught.value.param == "image"
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(image=drawing(), mask=mask(size=(32, 48)), prompt=PROMPT, extra_body=OWN)
    assert caught.value.param == "mask"


def test_an_unknown_model(client):
    with pytest.raises(openai.NotFoundError) as caught:
        generate(client, model="midjourney")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("base", ["", "/v1/", "/v1/v1", "//v1"])
def test_a_base_address_that_is_nearly_right(server, base):
    lenient = openai.OpenAI(base_url=server + base, api_key=os.environ.get("KANDINSKY_KEY", "none"), max_retries=0)
    assert lenient.models.list().data and len(generate(lenient).data) == 1


def test_a_wrong_base_address_is_told_the_right_one(server):
    lost = openai.OpenAI(base_url=f"{server}/api", api_key=os.environ.get("KANDINSKY_KEY", "none"), max_retries=0)
    with pytest.raises(openai.NotFoundError, match="did you mean /v1/images/generations"):
        generate(lost)


def test_the_asynchronous_client_and_raw_answers(server, client):
    async def both():
        async with openai.AsyncOpenAI(base_url=f"{server}/v1", api_key="none") as parallel:
            calls = [parallel.images.generate(prompt=PROMPT, extra_body={**OWN, "seed": seed}) for seed in (1, 2)]
            return await asyncio.gather(*calls)

    first, second = asyncio.run(both())
    assert first.data[0].b64_json != second.data[0].b64_json
    raw = client.images.with_raw_response.generate(prompt=PROMPT, extra_body=OWN)
    assert raw.headers["x-request-id"] and raw.parse().data[0].seed == 7

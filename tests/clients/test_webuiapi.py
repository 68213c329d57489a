"""webuiapi, the library for AUTOMATIC1111's API, pointed at the server."""

import os
import threading
import time
from urllib.parse import urlparse

import pytest
import webuiapi
from PIL import Image

from conftest import drawing, opened, pixels

PROMPT = "red heart on a blue background"
FEW = {"prompt": PROMPT, "steps": 4, "seed": 7}


def connected(server: str, **more) -> webuiapi.WebUIApi:
    address = urlparse(server)
    return webuiapi.WebUIApi(host=address.hostname, port=address.port, **more)


@pytest.fixture(scope="module")
def api(server):
    key = os.environ.get("KANDINSKY_KEY")
    return connected(server, username="any", password=key) if key else connected(server)


def picture() -> Image.Image:
    return opened(drawing().read())


def half(left: int, right: int) -> Image.Image:
    image = Image.new("L", (64, 64), left)
    image.paste(right, (32, 0, 64, 64))
    return image


def test_an_image_is_the_native_endpoints(api, native):
    result = api.txt2img(negative_prompt="green", cfg_scale=3, width=96, height=64, sampler_name="DPM++ 2M Karras", **FEW)
    want = native(
        "text-to-image",
        prompt=PROMPT,
        prior={},
        seed=7,
        negative_prompt="green",
        guidance_scale=3.0,
        width=96,
        height=64,
        scheduler="dpmpp_2m_karras",
    )
    assert pixels(result.image) == pixels(want)
    assert result.info["seed"] == 7 and result.info["all_seeds"] == [7]
    assert "Steps: 4" in result.info["infotexts"][0].split("\n")[-1]
    assert result.parameters["prompt"] == PROMPT


def test_its_defaults_work(api):
    # 512x512, Euler a, 20 steps, guidance 7: more than the model inside can draw, which is enlarged.
    result = api.txt2img(prompt=PROMPT, batch_size=2)
    assert [image.size for image in result.images] == [(512, 512)] * 2


def test_an_image_is_redrawn(api, native):
    result = api.img2img(images=[picture()], denoising_strength=0.6, width=64, height=64, sampler_name="DDIM", eta=0, **FEW)
    assert result.image.size == (64, 64) and pixels(result.image) != pixels(picture())


def test_what_is_white_in_the_mask_is_repainted(api):
    original = picture().convert("RGB")
    for mask, more in ((half(0, 255), {}), (half(255, 0), {"inpainting_mask_invert": 1})):
        result = api.img2img(images=[original], mask_image=mask, mask_blur=0, denoising_strength=1, **FEW, **more)
        assert result.image.size == original.size
        kept, new = (0, 0, 32, 64), (32, 0, 64, 64)
        assert pixels(result.image.crop(kept)) == pixels(original.crop(kept))
        assert pixels(result.image.crop(new)) != pixels(original.crop(new))


def test_what_it_asks_is_answered(api):
    assert "Euler a" in api.util_get_sampler_names() and "karras" in api.util_get_scheduler_names()
    assert api.util_get_current_model() == api.util_get_model_names()[0]
    api.util_set_model(api.util_get_current_model())
    api.util_wait_for_ready(check_interval=0.1)
    for asked in ("loras", "sd_vae", "hypernetworks", "face_restorers", "realesrgan_models", "latent_upscale_modes"):
        assert getattr(api, f"get_{asked}")() == []
    assert api.get_scripts() == {"txt2img": [], "img2img": []}
    assert {"name", "prompt", "negative_prompt"} <= api.get_prompt_styles()[0].keys()
    for asked in ("embeddings", "memory", "cmd_flags", "options"):
        assert isinstance(getattr(api, f"get_{asked}")(), dict)
    assert api.get_upscalers()[0]["name"] == "None"
    api.refresh_checkpoints()


def test_progress_is_told_and_an_interrupt_stops(api):
    errors = []

    def draw():
        try:
            api.txt2img(prompt=PROMPT, steps=500, width=128, height=128)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=draw)
    thread.start()
    deadline = time.monotonic() + 60
    while not (progress := api.get_progress())["current_image"]:
        assert time.monotonic() < deadline, progress
        time.sleep(0.02)
    assert 0 < progress["progress"] < 1 and progress["state"]["job_count"] == 1
    assert api.interrupt() == {}
    thread.join(60)
    [error] = errors
    assert error.args[0] == 409 and "canceled" in error.args[1]
    assert api.get_progress()["progress"] == 0


def test_errors_say_what_is_wrong(api):
    with pytest.raises(RuntimeError) as caught:
        api.txt2img(sampler_name="DPM++ SDE Karras", **FEW)
    assert caught.value.args[0] == 422 and "sampler_name" in caught.value.args[1]
    unit = webuiapi.ControlNetUnit(image=picture(), module="canny")
    with pytest.raises(RuntimeError) as caught:
        api.txt2img(controlnet_units=[unit], **FEW)
    assert caught.value.args[0] == 422 and "ControlNet" in caught.value.args[1]

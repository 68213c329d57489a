"""The SDKs against a server that wants keys: what they send is understood, and refusals become their own exceptions."""

import os
import re
import subprocess
from urllib.parse import urlparse

import openai
import pytest
import requests
import webuiapi
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from conftest import SHARED, opened

PROMPT = "red heart on a blue background"


def key(*flags: str) -> str:
    """Make a key beside the running server."""
    command = [os.environ["KANDINSKY_BINARY"], "keys", "create", "--data", os.environ["KANDINSKY_DATA"], *flags]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def sdk(server: str, key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server}/v1", api_key=key, max_retries=0)


def generate(client: openai.OpenAI, **more):
    return client.images.generate(prompt=PROMPT, extra_body={**SHARED, **more.pop("extra_body", {})}, **more)


def test_openais_sdk_works_with_a_key_and_names_what_is_wrong_without(server):
    assert len(generate(sdk(server, key()), n=2).data) == 2
    for wrong in ("none", re.sub("......$", "AAAAAA", key())):
        with pytest.raises(openai.AuthenticationError) as caught:
            generate(sdk(server, wrong))
        assert caught.value.code == "invalid_api_key" and wrong not in str(caught.value)
        with pytest.raises(openai.AuthenticationError):
            sdk(server, wrong).models.list()
    with pytest.raises(openai.PermissionDeniedError) as caught:
        generate(sdk(server, key("--scope", "inpainting")))
    assert "text-to-image" in caught.value.message


def test_limits_are_rate_limit_errors(server):
    limited = sdk(server, key("--daily-images", "1"))
    generate(limited)
    with pytest.raises(openai.RateLimitError) as caught:
        generate(limited)
    assert caught.value.code == "insufficient_quota"
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 86_400
    often = sdk(server, key("--rate", "1"))
    often.models.list()
    with pytest.raises(openai.RateLimitError) as caught:
        generate(often)
    assert caught.value.code == "rate_limit_exceeded"
    assert 0 < int(caught.value.response.headers["retry-after"]) <= 60


def test_urls_are_shown_without_a_key(server):
    [image] = generate(sdk(server, key()), response_format="url").data
    assert opened(requests.get(image.url, timeout=60).content).size == (64, 64)
    assert requests.get(image.url.split("?")[0], timeout=60).status_code == 401


def test_hugging_faces_client_sends_its_token(server):
    few = {"num_inference_steps": 4, "extra_body": {"prior": {"steps": 3}}}
    assert InferenceClient(model=server, token=key()).text_to_image(PROMPT, **few).size == (64, 64)
    with pytest.raises(HfHubHTTPError) as caught:
        InferenceClient(model=server, token="none").text_to_image(PROMPT, **few)
    assert caught.value.response.status_code == 401


def test_webuiapi_sends_the_key_as_a_password(server):
    address = urlparse(server)
    api = webuiapi.WebUIApi(host=address.hostname, port=address.port, username="any", password=key())
    assert api.txt2img(prompt=PROMPT, steps=4, width=64, height=64).image.size == (64, 64)
    api.set_auth("any", "none")
    with pytest.raises(RuntimeError) as caught:
        api.txt2img(prompt=PROMPT)
    assert caught.value.args[0] == 401

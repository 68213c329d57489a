"""Libraries that call OpenAI's API for others, unmodified and with their own defaults: LangChain and LiteLLM."""

import litellm
import pytest
import requests
from langchain_community.utilities.dalle_image_generator import DallEAPIWrapper

from conftest import decode, opened

PROMPT = "red heart on a blue background"
# LangChain's default, and that of OpenAI's models.
DEFAULT_SIZE = (1024, 1024)


def fetched(url: str):
    answer = requests.get(url, timeout=60)
    assert answer.status_code == 200 and answer.headers["content-type"] == "image/png"
    return opened(answer.content)


@pytest.mark.filterwarnings("ignore")
def test_langchain_reads_addresses_of_images_of_its_default_size(server):
    wrapper = DallEAPIWrapper(base_url=f"{server}/v1", api_key="none", model="dall-e-3")
    assert fetched(wrapper.run(PROMPT)).size == DEFAULT_SIZE


@pytest.mark.filterwarnings("ignore")
def test_langchain_separates_several_images(server):
    wrapper = DallEAPIWrapper(base_url=f"{server}/v1", api_key="none", model="dall-e-2", size="64x64", n=2)
    first, second = (fetched(url) for url in wrapper.run(PROMPT).split(wrapper.separator))
    assert first.size == (64, 64) and first.tobytes() != second.tobytes()


@pytest.mark.parametrize("base", ["/v1", ""])
def test_litellm_gets_what_the_model_of_the_name_answers(server, base):
    def generate(model: str):
        arguments = {"prompt": PROMPT, "api_base": server + base, "api_key": "none", "size": "1024x1024", "n": 1}
        return litellm.image_generation(model=f"openai/{model}", **arguments).data[0]

    assert fetched(generate("dall-e-3").url).size == DEFAULT_SIZE
    assert decode(generate("gpt-image-1").b64_json).size == DEFAULT_SIZE
    assert decode(generate("kandinsky-mini").b64_json).size == DEFAULT_SIZE


def test_litellm_says_what_is_wrong(server):
    with pytest.raises(litellm.exceptions.BadRequestError, match="prompt: must not be empty"):
        litellm.image_generation(model="openai/dall-e-3", prompt=" ", api_base=f"{server}/v1", api_key="none")
    with pytest.raises(litellm.exceptions.NotFoundError, match="did you mean /v1/images/generations"):
        litellm.image_generation(model="openai/dall-e-3", prompt=PROMPT, api_base=f"{server}/api", api_key="none")

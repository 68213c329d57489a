"""The digital source type, as Exiv2 and Pillow read it from files that the server gave."""

import io
import json

import pyexiv2
import pytest
from conftest import FORMATS, QUICK, VOCABULARY, b64, opened, pixels, serving
from PIL import Image

TRAINED = VOCABULARY + "trainedAlgorithmicMedia"
COMPOSITE = VOCABULARY + "compositeWithTrainedAlgorithmicMedia"


def exiv2(file: bytes) -> dict:
    with pyexiv2.ImageData(file) as image:
        return image.read_xmp()


def pillow(file: bytes) -> dict:
    packet = opened(file).getxmp()
    return packet["xmpmeta"]["RDF"]["Description"] if packet else {}


def assert_marked(file: bytes, source: str):
    for words, tool, kind in [
        (exiv2(file), "Xmp.xmp.CreatorTool", "Xmp.iptcExt.DigitalSourceType"),
        (pillow(file), "CreatorTool", "DigitalSourceType"),
    ]:
        assert words[kind] == source
        assert words[tool].startswith("kandinsky ")


def mask(size: tuple[int, int]) -> bytes:
    image = Image.new("L", size, 0)
    image.paste(255, (size[0] // 2, 0, size[0], size[1]))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("embed_metadata", [True, False])
@pytest.mark.parametrize("quality", [80, 100])
@pytest.mark.parametrize("output_format", FORMATS)
def test_every_format_says_that_a_model_made_it(marked, output_format, quality, embed_metadata):
    file = marked.draw(output_format=output_format, output_quality=quality, embed_metadata=embed_metadata)
    assert opened(file).format == output_format.upper()
    assert_marked(file, TRAINED)


def test_modes_that_go_on_from_an_image_say_so(marked):
    source = marked.draw()
    image = b64(source)
    size = opened(source).size
    ours = {
        "image-to-image": ({"image": image, "strength": 0.7}, COMPOSITE),
        "inpainting": ({"image": image, "mask": b64(mask(size))}, COMPOSITE),
        "outpainting": ({"image": image, "expand": {"right": 16}}, COMPOSITE),
        "image-variations": ({"image": image, "prompt": None}, TRAINED),
        "image-fusion": ({"images": [{"image": image}, {"image": image}], "prompt": None}, TRAINED),
        "text-image-fusion": ({"inputs": [{"image": image}, {"prompt": "face"}], "prompt": None}, TRAINED),
    }
    for mode, (body, kind) in ours.items():
        assert_marked(marked.draw(mode, **body), kind)


def test_thumbnails_are_marked_and_smaller(marked):
    for output_format in FORMATS:
        answer = json.loads(marked.ask("/v1/text-to-image", {**QUICK, "output_format": output_format}))
        thumbnail = marked.ask(f"/v1/jobs/{answer['id']}/images/0?width=16")
        assert opened(thumbnail).size == (16, 16)
        assert_marked(thumbnail, TRAINED)


def test_off_means_off_and_pixels_are_the_same(marked):
    with serving({"marking.xmp": "false"}) as unmarked:
        for output_format in FORMATS:
            bare = unmarked.draw(output_format=output_format)
            assert exiv2(bare) == {} and pillow(bare) == {}
            assert pixels(bare) == pixels(marked.draw(output_format=output_format))

"""Contact sheet: text to image, other aspect ratios, variations, fusion, image to image and inpainting."""
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from common import parse, parser
from pipelines import Studio, add_pipeline_args

PROMPTS = [
    "red heart", "красное сердце", "pizza on a blue background", "кошка на жёлтом фоне",
    "dog", "собака на зелёном фоне", "unicorn on a purple background", "робот на розовом фоне",
    "fire", "огонь на чёрном фоне", "red apple on a cyan background", "лягушка",
    "rocket on a black background", "ракета", "sunflower on a blue background", "роза на сером фоне",
    "octopus on an orange background", "осьминог на белом фоне", "grinning face", "череп на красном фоне",
    "panda on a pink background", "пингвин на голубом фоне", "soccer ball on a green background",
    "гитара на оранжевом фоне"]
PIZZA, CAT, FIRE, PANDA = 2, 3, 8, 20
FUSIONS = [("cat", "crown"), ("кошка", "тигр"), ("red heart", "fire"), ("red apple", "green apple")]
COLUMNS = 8


def sheet(rows, path, font, cell=128):
    """rows: list of lists of (PIL image, label)."""
    gap, label_height, label_width = 6, 26, 24
    face = ImageFont.truetype(font, 11) if font else ImageFont.load_default()
    out = Image.new("RGB", (max(map(len, rows)) * (cell + gap), len(rows) * (cell + label_height)), "white")
    d = ImageDraw.Draw(out)
    for j, row in enumerate(rows):
        for i, (im, label) in enumerate(row):
            x, y = i * (cell + gap), j * (cell + label_height)
            im = im.resize((im.width * 2, im.height * 2), Image.NEAREST)
            im.thumbnail((cell, cell))
            out.paste(im, (x, y))
            d.text((x, y + cell + 1), label[:label_width], "black", font=face)
            d.text((x, y + cell + 12), label[label_width:2 * label_width], "black", font=face)
    out.save(path)


def seeds_and_sizes(studio):
    row = [(im, "fox, blue (seeds)") for im in studio.draw(["fox on a blue background"] * 4, 5)]
    prompts = ["кит на голубом фоне", "car"]
    for h, w in ((64, 96), (96, 64)):
        row += [(im, f"{q} {w}x{h}") for im, q in zip(studio.draw(prompts, 1, height=h, width=w), prompts)]
    return row


def variations_and_fusions(studio, pictures):
    negative = studio.embed([""] * 4)[1]
    e = studio.embed_pictures([pictures[i] for i in (PIZZA, CAT, FIRE, PANDA)])
    row = [(im, "variation") for im in studio.decode([""] * 4, (e, negative), 7)]
    for first, second in FUSIONS:
        row.append((studio.decode([""], studio.mix(first, second, 3), 3)[0], f"{first} + {second}"))
    return row


def edits(studio, pictures):
    row = []
    for source, prompt in ((CAT, "tiger face on a yellow background"), (PIZZA, "pizza on a red background")):
        row.append((studio.redraw(prompt, pictures[source], 0.6, 1), "i2i: " + prompt))
    boxes = ((PIZZA, (16, 16, 48, 48)), (CAT, (0, 0, 64, 32)), (PANDA, (32, 0, 64, 64)))
    for source, (left, top, right, bottom) in boxes:
        mask = np.zeros((64, 64), np.float32)
        mask[top:bottom, left:right] = 1
        masked = np.asarray(pictures[source]).copy()
        masked[mask > 0] = 128
        row.append((Image.fromarray(masked), "masked"))
        row.append((studio.inpaint(PROMPTS[source], pictures[source], mask, 2), "inpaint: " + PROMPTS[source]))
    return row


def main():
    p = add_pipeline_args(parser(__doc__))
    p.add_argument("--out", required=True, help="contact sheet .png")
    p.add_argument("--font", help="a .ttf with Cyrillic letters for the labels")
    p.add_argument("--quick", action="store_true", help="text to image only")
    a = parse(p, decoder_steps=2, prior_steps=2)
    studio = Studio(a)
    pictures = studio.draw(PROMPTS)
    labelled = list(zip(pictures, PROMPTS))
    rows = [labelled[i:i + COLUMNS] for i in range(0, len(labelled), COLUMNS)]
    if not a.quick:
        rows += [seeds_and_sizes(studio), variations_and_fusions(studio, pictures), edits(studio, pictures)]
    sheet(rows, a.out, a.font)


if __name__ == "__main__":
    main()

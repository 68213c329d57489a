"""Contact sheet: text to image, other aspect ratios, variations, fusion, image to image and inpainting."""
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from common import parse, parser
from pipelines import Studio, add_pipeline_args

# not picked: random.Random(48) drew 48 emoji of the data set and a background for each
PROMPTS = [
    "menorah on an orange background", "машина скорой помощи на красном фоне", "people hugging on a yellow background",
    "медицинский символ на сером фоне", "hamsa on a yellow background", "восход на сером фоне",
    "bow and arrow on a pink background", "пчела на красном фоне", "bell with slash on a red background",
    "кенгуру на зелёном фоне", "llama on a blue background", "сердце человека на оранжевом фоне",
    "pushpin on a pink background", "помидор на чёрном фоне", "peach on a cyan background", "крюк на оранжевом фоне",
    "heavy dollar sign on a purple background", "компрессор на красном фоне", "giraffe on a white background",
    "монета на оранжевом фоне", "green apple on a purple background", "в медицинской маске на фиолетовом фоне",
    "brown heart on an orange background", "ранец на белом фоне", "heart with arrow on a gray background",
    "семья на голубом фоне", "locked with pen on a cyan background", "морда белого медведя на фиолетовом фоне",
    "elf on a pink background", "космический монстр на фиолетовом фоне", "love hotel on a gray background",
    "кресло на жёлтом фоне", "airplane departure on a blue background", "указательный палец на себя на оранжевом фоне",
    "hot dog on a green background", "кубик льда на розовом фоне", "sake on a gray background", "обнимает на зелёном фоне",
    "white circle on a cyan background", "национальный парк на сером фоне", "service dog on a blue background",
    "луна в первой четверти с лицом на зелёном фоне", "musical notes on a blue background", "попугай на синем фоне",
    "lotus on a yellow background", "игральная кость на голубом фоне", "globe with meridians on a gray background",
    "хочет спать на фиолетовом фоне"]
SOURCES = ["pizza on a blue background", "кошка на жёлтом фоне", "panda on a pink background", "fire"]
FUSIONS = [("cat", "crown"), ("кошка", "тигр"), ("red heart", "fire"), ("red apple", "green apple")]
EDITS = ["pizza on a red background", "тигр на жёлтом фоне", "panda on a cyan background", "red heart"]
MASKS = [(16, 16, 48, 48), (0, 0, 64, 32), (32, 0, 64, 64), (0, 0, 32, 64)]  # left, top, right, bottom: repainted
COLUMNS = 8


def sheet(rows, path, font, cell=128):
    """rows: list of lists of (PIL image, label)."""
    gap, label_height, label_width = 6, 26, 21
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


def sizes(studio):
    row = []
    for h, w in ((64, 96), (96, 64)):
        prompts = PROMPTS[:COLUMNS // 2]
        row += [(im, f"{w}x{h} {q}") for im, q in zip(studio.draw(prompts, 1, height=h, width=w), prompts)]
    return row


def seeds(studio):
    prompt = "fox on a blue background"
    return [(im, f"{prompt} (seeds)") for im in studio.draw([prompt] * COLUMNS, 5)]


def variations(studio, pictures):
    negative = studio.embed([""] * len(pictures))[1]
    drawn = studio.decode([""] * len(pictures), (studio.embed_pictures(pictures), negative), 7)
    return [x for source, im, q in zip(pictures, drawn, SOURCES) for x in ((source, q), (im, "variation"))]


def fusions(studio):
    row = []
    for pair in FUSIONS:
        row += zip(studio.draw(list(pair), 3), pair)
        row.append((studio.decode([""], studio.mix(*pair, 3), 3)[0], " + ".join(pair)))
    return row


def redrawn(studio, pictures):
    return [x for source, q, prompt in zip(pictures, SOURCES, EDITS)
            for x in ((source, q), (studio.redraw(prompt, source, 0.6, 1), f"image to image: {prompt}"))]


def inpainted(studio, pictures):
    row = []
    for source, prompt, (left, top, right, bottom) in zip(pictures, SOURCES, MASKS):
        mask = np.zeros((64, 64), np.float32)
        mask[top:bottom, left:right] = 1
        masked = np.asarray(source).copy()
        masked[mask > 0] = 128
        row += [(Image.fromarray(masked), "masked"), (studio.inpaint(prompt, source, mask, 2), f"inpainting: {prompt}")]
    return row


def main():
    p = add_pipeline_args(parser(__doc__))
    p.add_argument("--out", required=True, help="contact sheet .png")
    p.add_argument("--font", help="a .ttf with Cyrillic letters for the labels")
    p.add_argument("--quick", action="store_true", help="text to image only")
    p.add_argument("--height", type=int, default=64)
    p.add_argument("--width", type=int, default=64)
    a = parse(p, decoder_steps=2, prior_steps=2)
    studio = Studio(a)
    labelled = list(zip(studio.draw(PROMPTS, height=a.height, width=a.width), PROMPTS))
    rows = [labelled[i:i + COLUMNS] for i in range(0, len(labelled), COLUMNS)]
    if not a.quick:
        sources = studio.draw(SOURCES)
        fused = fusions(studio)
        rows += [sizes(studio), seeds(studio), variations(studio, sources), fused[:6], fused[6:],
                 redrawn(studio, sources), inpainted(studio, sources)]
    sheet(rows, a.out, a.font)


if __name__ == "__main__":
    main()

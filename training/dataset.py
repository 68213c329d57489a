"""Data set: emoji pictures on coloured backgrounds with English and Russian captions.

Pictures: Noto Color Emoji bitmaps (136x128 strikes of the CBDT font).
Words:    emojibase-data (CLDR short names and keywords), `en/data.json`, `ru/data.json`.

    ds = EmojiData(font, emojibase)
    ds.sprites   uint8 [N, 128, 128, 4]  premultiplied RGBA, emoji cropped and centred
    ds.render(i, colour, rng)   -> uint8 [H, W, 3]
    ds.caption(i, colour, lang, rng) -> str
"""
import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from common import parse, parser

# name: (RGB, Russian adjective in the prepositional case, "на ... фоне")
COLOURS = {
    "white": ((255, 255, 255), "белом"),
    "red": ((220, 40, 40), "красном"),
    "blue": ((40, 70, 220), "синем"),
    "green": ((40, 160, 60), "зелёном"),
    "yellow": ((250, 220, 40), "жёлтом"),
    "orange": ((250, 140, 20), "оранжевом"),
    "purple": ((130, 50, 180), "фиолетовом"),
    "pink": ((250, 160, 200), "розовом"),
    "black": ((15, 15, 15), "чёрном"),
    "gray": ((140, 140, 140), "сером"),
    "cyan": ((60, 210, 230), "голубом"),
}
NAMES = list(COLOURS)
RGB = np.array([COLOURS[c][0] for c in NAMES], np.uint8)
SMOKE_EMOJI = 32
HELD_OUT, PAIR_SEED = 256, 2021  # pairs of an emoji and a colour for evaluate.py alone

# emojibase groups and subgroups left out: near-duplicates, letters, flags, people variants
SKIP_GROUPS = {None, 2, 9}
SKIP_SUBGROUPS = {24, 25, 27, 28, 29, 30, 83, 85, 88, 89, 90, 91, 94, 95}
# shorter or more usual words that people really type: hex code -> (English, Russian)
EXTRA = {
    "2764": (["red heart", "heart"], ["красное сердце", "сердце"]),
    "1F408": (["cat"], ["кошка", "кот"]),
    "1F431": (["cat face", "kitten"], ["морда кошки", "мордочка кошки", "котик"]),
    "1F415": (["dog"], ["собака", "пёс"]),
    "1F436": (["dog face", "puppy"], ["морда собаки", "щенок"]),
    "1F438": (["frog"], ["лягушка"]),
    "1F98A": (["fox"], ["лиса"]),
    "1F981": (["lion"], ["лев"]),
    "1F984": (["unicorn"], ["единорог"]),
    "1F43C": (["panda"], ["панда"]),
    "1F43B": (["bear"], ["медведь"]),
    "1F697": (["car", "red car"], ["машина", "автомобиль"]),
    "1F33B": (["sunflower"], ["подсолнух"]),
    "2600": (["sun"], ["солнце"]),
    "1F600": (["grinning face", "smile", "smiley"], ["широко улыбается", "улыбка", "смайлик"]),
    "1F3E0": (["house"], ["дом"]),
    "1F419": (["octopus"], ["осьминог"]),
    "1F34E": (["red apple", "apple"], ["красное яблоко", "яблоко"]),
    "1F332": (["evergreen tree", "fir tree"], ["ёлка", "ель"]),
    "1F339": (["rose"], ["роза"]),
    "1F525": (["fire"], ["огонь"]),
    "2B50": (["star", "yellow star"], ["звезда", "жёлтая звезда"]),
}


def russian_spelling(text, rng):
    """ё is optional in Russian writing: show both spellings."""
    return text.replace("ё", "е") if rng.random() < 0.5 else text


def background_phrase(name, colour, lang, grey="gray"):
    """`name` on a background of the colour with index `colour`; `grey` is the spelling of that colour."""
    c = NAMES[colour]
    if lang == "ru":
        return f"{name} на {COLOURS[c][1]} фоне"
    return f"{name} on {'an' if c == 'orange' else 'a'} {grey if c == 'gray' else c} background"


class EmojiData:
    """Sprites and words of the usable emoji; `limit` keeps the first so many."""

    def __init__(self, font, emojibase, limit=None):
        root = Path(emojibase)
        en = json.loads((root / "en/data.json").read_text())
        ru = {x["hexcode"]: x for x in json.loads((root / "ru/data.json").read_text())}
        face = ImageFont.truetype(str(font), 109)
        self.items, sprites, seen = [], [], set()
        for x in en:
            if not self._usable(x):
                continue
            sprite = self._sprite(face, x["emoji"])
            if sprite is None or sprite.tobytes() in seen:
                continue
            seen.add(sprite.tobytes())
            self.items.append(self._item(x, ru[x["hexcode"]]))
            sprites.append(sprite)
            if len(sprites) == limit:
                break
        self.sprites = np.stack(sprites)
        for lang in ("en", "ru"):
            self._drop_common_tags(lang)

    def __len__(self):
        return len(self.items)

    @staticmethod
    def _usable(x):
        sub, label = x.get("subgroup"), x["label"]
        if x.get("group") in SKIP_GROUPS or sub in SKIP_SUBGROUPS:
            return False
        if x.get("gender") is not None and sub in (23, 26):  # man/woman variants
            return False
        return "’s" not in label and "o’clock" not in label and not label.endswith("-thirty")

    @staticmethod
    def _item(en, ru):
        label = en["label"].lower()
        extra = EXTRA.get(en["hexcode"].split("-")[0]) if "-200D-" not in en["hexcode"] else None
        extra_en, extra_ru = extra or ([], [])
        item = {
            "hex": en["hexcode"],
            "en": [label, *extra_en],
            "ru": [ru["label"].lower(), *extra_ru],
            "en_tags": [t.lower() for t in en.get("tags", [])],
            "ru_tags": [t.lower() for t in ru.get("tags", [])],
        }
        if label.endswith(" face") and en["group"] == 3:
            item["en"].append(label.removesuffix(" face"))
        return item

    def _drop_common_tags(self, lang):
        """A keyword is only a fair caption if few emoji share it."""
        tags = lang + "_tags"
        count = Counter(t for it in self.items for t in it[tags])
        names = {n for it in self.items for n in it[lang]}
        for it in self.items:
            it[tags] = [t for t in it[tags] if count[t] <= 2 and t not in names]

    @staticmethod
    def _sprite(face, char):
        im = Image.new("RGBA", (200, 200), (0, 0, 0, 0))
        ImageDraw.Draw(im).text((20, 20), char, font=face, embedded_color=True)
        box = im.getbbox()
        if box is None or box[2] - box[0] > 150:  # missing glyph or an unjoined sequence
            return None
        im = im.crop(box)
        side = max(im.size)
        square = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        square.paste(im, ((side - im.width) // 2, (side - im.height) // 2))
        return np.asarray(square.convert("RGBa").resize((128, 128), Image.BICUBIC))

    def render(self, i, colour, rng, size=(64, 64), jitter=True):
        """-> uint8 [H, W, 3]; `colour` is an index into NAMES."""
        h, w = size
        side = int(round(min(h, w) * (rng.uniform(0.78, 0.94) if jitter else 0.88)))
        sprite = Image.fromarray(self.sprites[i], "RGBa")
        sprite = np.asarray(sprite.resize((side, side), Image.BOX if side * 2 == 128 else Image.BICUBIC))
        sprite = sprite.astype(np.float32)
        cy, cx = (h - side) / 2, (w - side) / 2
        if jitter:
            most = 3 if h == w else 8
            cy += rng.uniform(-1, 1) * min(cy, most)
            cx += rng.uniform(-1, 1) * min(cx, most)
        y, x = int(round(cy)), int(round(cx))
        out = np.empty((h, w, 3), np.float32)
        out[:] = RGB[colour]
        alpha = sprite[..., 3:] / 255.0
        out[y:y + side, x:x + side] = out[y:y + side, x:x + side] * (1 - alpha) + sprite[..., :3]
        return out.clip(0, 255).astype(np.uint8)

    def caption(self, i, colour, lang, rng, tags=0.15):
        """A random caption; `tags` is the share that uses a keyword in place of a name."""
        it = self.items[i]
        pool = it[lang]
        if it[lang + "_tags"] and rng.random() < tags:
            pool = it[lang + "_tags"]
        text = rng.choice(pool)
        plain = rng.random() < (0.75 if NAMES[colour] == "white" else 0.03)
        grey = "grey" if rng.random() < 0.3 else "gray"
        if not plain:
            text = background_phrase(text, colour, lang, grey)
        if lang == "ru":
            text = russian_spelling(text, rng)
        elif rng.random() < 0.1:
            text = ("an " if text[0] in "aeiou" else "a ") + text
        return text[0].upper() + text[1:] if rng.random() < 0.15 else text


def pairs(total, part):
    """-> emoji index [HELD_OUT], colour index [HELD_OUT], fixed: what evaluate.py draws, of `total` emoji in all.

    The UNet trains on neither part: "test" is for the final numbers, "validation" for choosing between variants.
    """
    rng = np.random.RandomState(PAIR_SEED)
    emoji, colour = rng.permutation(total), rng.randint(len(NAMES), size=total)
    k = min(HELD_OUT, total // 2)
    rows = slice(k) if part == "test" else slice(k, 2 * k)
    return emoji[rows], colour[rows]


def colours(npr, emoji, total, white):
    """A random colour for each of the indices `emoji`; white keeps its held-out pairs, as it is the default."""
    p = np.full(len(NAMES), (1 - white) / (len(NAMES) - 1))
    p[0] = white
    drawn = npr.choice(len(NAMES), size=len(emoji), p=p)
    taken = np.zeros((total, len(NAMES)), bool)
    for part in ("test", "validation"):
        taken[pairs(total, part)] = True
    taken[:, 0] = False
    while (again := taken[emoji, drawn]).any():
        drawn[again] = npr.choice(len(NAMES), size=again.sum(), p=p)
    return drawn


def build(ds, out, variants, white, seed=0):
    """Render everything once.

    square.npz: images [M,64,64,3] uint8 with jitter, emoji [M], colour [M], row = variant * len(ds) + emoji.
    captions.json: the M [English, Russian] pairs. items.json: names and keywords of the emoji.
    centred.npz: images of every emoji on every colour without jitter, row = colour * len(ds) + emoji.
    """
    rng = random.Random(seed)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    emoji = np.tile(np.arange(len(ds)), variants)
    colour = colours(np.random.default_rng(seed), emoji, len(ds), white)
    rows = [(int(i), int(c)) for i, c in zip(emoji, colour)]
    images = np.stack([ds.render(i, c, rng) for i, c in rows])
    captions = [[ds.caption(i, c, lang, rng) for lang in ("en", "ru")] for i, c in rows]
    np.savez(out / "square.npz", images=images, emoji=emoji, colour=colour)
    print("square", images.shape, flush=True)
    emoji, colour = np.tile(np.arange(len(ds)), len(NAMES)), np.repeat(np.arange(len(NAMES)), len(ds))
    images = np.stack([ds.render(i, c, rng, jitter=False) for i, c in zip(emoji, colour)])
    np.savez(out / "centred.npz", images=images, emoji=emoji, colour=colour)
    print("centred", images.shape, flush=True)
    (out / "captions.json").write_text(json.dumps(captions, ensure_ascii=False))
    (out / "items.json").write_text(json.dumps(ds.items, ensure_ascii=False))


def add_source_args(p):
    p.add_argument("--font", required=True, help="NotoColorEmoji.ttf")
    p.add_argument("--emojibase", required=True, help="unpacked emojibase-data package")
    p.add_argument("--limit", type=int, help="use only the first so many emoji")
    return p


def main():
    p = add_source_args(parser(__doc__))
    p.add_argument("--out", required=True)
    p.add_argument("--variants", type=int, default=16, help="64x64 renders per emoji")
    p.add_argument("--white", type=float, default=0.4, help="share of white backgrounds")
    a = parse(p, limit=SMOKE_EMOJI, variants=4)
    ds = EmojiData(a.font, a.emojibase, a.limit)
    print(len(ds), "emoji", flush=True)
    build(ds, a.out, a.variants, a.white)


if __name__ == "__main__":
    main()

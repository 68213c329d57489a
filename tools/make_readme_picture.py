#!/usr/bin/env python3
"""Make docs/pictures.png: what kandinsky-mini draws in every mode, two rows of labelled pictures.

Needs Pillow and a release build.
"""

import pathlib
import subprocess
import tempfile

from PIL import Image, ImageDraw, ImageFont

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target" / "release" / "kandinsky"
SCALE, GAP, LABEL = 2, 12, 18


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def make(name, *arguments):
            path = folder / f"{name}.png"
            subprocess.run([PROGRAM, "generate", *map(str, arguments), "--out", path], check=True, capture_output=True)
            return path

        rocket = make("rocket", "text-to-image", "--prompt", "rocket on a blue background", "--seed", 7)
        fox = make("fox", "text-to-image", "--prompt", "лиса на жёлтом фоне", "--seed", 8)
        apple = make("apple", "text-to-image", "--prompt", "red apple on a green background", "--seed", 3)
        tiger = make("tiger", "text-to-image", "--prompt", "tiger face on a yellow background", "--seed", 3)
        mask = Image.new("L", (64, 64), 0)
        ImageDraw.Draw(mask).rectangle([8, 6, 56, 34], fill=255)
        mask.save(folder / "mask.png")
        cells = [
            ("text", rocket),
            ("text (Russian)", fox),
            ("text", apple),
            ("variation", make("variation", "image-variations", "--image", fox, "--seed", 4)),
            ("fusion", make("fusion", "image-fusion", "--image", fox, "--image", tiger, "--seed", 5)),
            ("text + image", make("both", "text-image-fusion", "--image", apple, "--prompt",
                                  "peach on a pink background", "--weight", 0.5, "--weight", 0.5, "--seed", 6)),
            ("image to image", make("i2i", "image-to-image", "--image", apple, "--prompt",
                                    "tomato on a purple background", "--strength", 0.7, "--seed", 7)),
            ("inpainting", make("inpaint", "inpainting", "--image", fox, "--mask", folder / "mask.png", "--prompt",
                                "лиса на жёлтом фоне", "--seed", 2)),
            ("outpainting", make("outpaint", "outpainting", "--image", rocket, "--expand", "16,0,16,0", "--seed", 9)),
        ]
        tiles = [(label, Image.open(path).convert("RGB")) for label, path in cells]
        width = sum(tile.width * SCALE for _, tile in tiles) + GAP * (len(tiles) + 1)
        height = 64 * SCALE + 2 * GAP + LABEL
        sheet = Image.new("RGB", (width, height), "white")
        draw = ImageDraw.Draw(sheet)
        left = GAP
        for label, tile in tiles:
            tile = tile.resize((tile.width * SCALE, tile.height * SCALE), Image.LANCZOS)
            sheet.paste(tile, (left, GAP))
            draw.text((left, GAP + 64 * SCALE + 3), label, fill="black", font=ImageFont.load_default(13))
            left += tile.width + GAP
        (ROOT / "docs").mkdir(exist_ok=True)
        sheet.save(ROOT / "docs" / "pictures.png")


if __name__ == "__main__":
    main()

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

        heart = make("heart", "text-to-image", "--prompt", "red heart on a blue background", "--seed", 7)
        russian = make("russian", "text-to-image", "--prompt", "красное сердце на жёлтом фоне", "--seed", 8)
        face = make("face", "text-to-image", "--prompt", "smiling face on a green background", "--seed", 3)
        mask = Image.new("L", (64, 64), 0)
        ImageDraw.Draw(mask).rectangle([8, 6, 56, 34], fill=255)
        mask.save(folder / "mask.png")
        cells = [
            ("text", heart),
            ("text (Russian)", russian),
            ("text", face),
            ("variation", make("variation", "image-variations", "--image", face, "--seed", 4)),
            ("fusion", make("fusion", "image-fusion", "--image", heart, "--image", face, "--seed", 5)),
            ("text + image", make("both", "text-image-fusion", "--image", heart, "--prompt",
                                  "smiling face on a red background", "--weight", 0.3, "--weight", 0.7, "--seed", 6)),
            ("image to image", make("i2i", "image-to-image", "--image", face, "--prompt",
                                    "angry face on a red background", "--strength", 0.7, "--seed", 7)),
            ("inpainting", make("inpaint", "inpainting", "--image", face, "--mask", folder / "mask.png", "--prompt",
                                "smiling face on a green background", "--seed", 2)),
            ("outpainting", make("outpaint", "outpainting", "--image", heart, "--expand", "16,0,16,0", "--seed", 9)),
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

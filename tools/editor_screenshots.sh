#!/usr/bin/env bash
# Make docs/editor-en.png and docs/editor-ru.png anew: the editor on the built server (or KANDINSKY_BINARY), with few colours so
# that the files stay small. Needs what `.ci/editor` needs, and a Python with Pillow (PYTHON names it).
set -euo pipefail
cd "$(dirname "$0")/.."
export KANDINSKY_BINARY=${KANDINSKY_BINARY:-$PWD/target/release/kandinsky}
. .ci/browser-tools
node target/browser/screenshots.mjs target/screenshots --readme
"${PYTHON:-python3}" - <<'PY'
from PIL import Image

for language in ["en", "ru"]:
    image = Image.open(f"target/screenshots/editor-{language}.png").convert("RGB")
    image = image.resize((960, 600), Image.Resampling.LANCZOS)
    image.quantize(256, dither=Image.Dither.NONE).save(f"docs/editor-{language}.png", optimize=True)
PY

#!/usr/bin/env bash
# Make anew whatever depends on the pixels of models/kandinsky-mini: the golden images, the README's image and the
# table of priors. Needs a Python with tests/goldens/requirements.txt installed (PYTHON names it) and a release build.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

"$python" tests/goldens/make_goldens.py
cargo build --release
"$python" tools/make_readme_picture.py
cargo run --release --example compare_priors > target/priors.md
"$python" - <<'PY'
import pathlib
import re

page, table = pathlib.Path("docs/priors.md"), pathlib.Path("target/priors.md").read_text()
page.write_text(re.sub(r"\| prior \|.*?\n(?=\n|\Z)", lambda _: table, page.read_text(), flags=re.S))
PY
cargo test --release

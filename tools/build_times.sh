#!/usr/bin/env bash
# How long a fresh build takes, and one after a change of a single file (docs/building.md). On a machine that does nothing else:
# `tools/build_times.sh [FILE]`. Sources are downloaded before the clock starts.
set -euo pipefail
cd "$(dirname "$0")/.."

file=${1:-src/http/router.rs}
target=$(mktemp -d "${TMPDIR:-/tmp}/kandinsky-build.XXXXXX")
copy=$(mktemp)
cp "$file" "$copy"
trap 'cat "$copy" > "$file"; rm -rf "$target" "$copy"' EXIT
export CARGO_TARGET_DIR=$target
TIMEFORMAT='%R s wall, %U s + %S s of the CPU'

cargo fetch --locked --quiet
printf 'fresh build: '
time cargo build --release --locked --quiet --timings
printf '%s units\n' "$(grep -oE '"i": *[0-9]+' "$target"/cargo-timings/cargo-timing.html | wc -l)"
# A change that the compiler cannot see through: a constant that is used nowhere else.
printf '\n/// Only to be different.\npub const BUILT_AGAIN: u64 = %s;\n' "$(date +%s)" >> "$file"
printf 'after a change of %s: ' "$file"
time cargo build --release --locked --quiet

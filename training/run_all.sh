#!/bin/sh
# Every stage in order: run_all.sh [--smoke] FONT EMOJIBASE WORK OUT
# Minutes per stage can be set in the environment: MOVQ CLIP MCLIP PRIOR RESIDUAL UNET INPAINT.
# PORT is the TCP port on which the two UNet processes meet (29511).
# --smoke runs every stage on tiny settings, to check that the chain works.
set -eu
SMOKE=
if [ "${1:-}" = --smoke ]; then
  SMOKE=--smoke
  shift
fi
if [ $# -ne 4 ]; then
  echo "usage: $0 [--smoke] FONT EMOJIBASE WORK OUT" >&2
  exit 2
fi
mkdir -p "$3" "$4"
FONT=$(realpath "$1") EMOJIBASE=$(realpath "$2") W=$(realpath "$3") OUT=$(realpath "$4")
cd "$(dirname "$0")"
export OMP_NUM_THREADS=1

stage() { # stage SCRIPT ARGUMENTS...
  script=$1
  shift
  echo "== $script"
  python "$script" "$@" $SMOKE
}

two() { # like stage, as two processes that average their weights
  script=$1
  shift
  echo "== $script (two processes)"
  python "$script" "$@" $SMOKE --port "${PORT:-29511}" --world 2 --rank 1 &
  second=$!
  if ! python "$script" "$@" $SMOKE --port "${PORT:-29511}" --world 2 --rank 0; then
    kill "$second" 2>/dev/null || true
    exit 1
  fi
  wait "$second"
}

stage dataset.py --font "$FONT" --emojibase "$EMOJIBASE" --out "$W/data"
stage train_tokenizers.py --data "$W/data" --out "$W"
stage train_movq.py --data "$W/data" --out "$W/movq" --minutes "${MOVQ:-18}"
stage train_clip.py --data "$W/data" --tokenizer "$W/clip_tokenizer" --out "$W/clip" --minutes "${CLIP:-15}"
stage train_mclip.py --data "$W/data" --clip "$W/clip" --clip-tokenizer "$W/clip_tokenizer" \
  --tokenizer "$W/xlmr_tokenizer" --out "$W/mclip" --minutes "${MCLIP:-4}"
stage train_prior.py --data "$W/data" --clip "$W/clip" --tokenizer "$W/clip_tokenizer" --out "$W/prior" \
  --minutes "${PRIOR:-7}"
stage fit_priors.py --data "$W/data" --clip "$W/clip" --tokenizer "$W/clip_tokenizer" --out "$OUT" \
  --minutes "${RESIDUAL:-3}"
stage features.py --data "$W/data" --movq "$W/movq" --clip "$W/clip" --clip-tokenizer "$W/clip_tokenizer" \
  --mclip "$W/mclip" --mclip-tokenizer "$W/xlmr_tokenizer" --prior "$W/prior" --out "$W/features"
two train_unet.py --features "$W/features" --out "$W/unet" --minutes "${UNET:-12}" --decay 0
two train_inpaint.py --features "$W/features" --out "$W/unet9" --resume "$W/unet/state.pt" --minutes "${INPAINT:-150}"
stage export.py --unet "$W/unet9" --inpaint "$W/unet9" --clip "$W/clip" --clip-tokenizer "$W/clip_tokenizer" \
  --prior "$W/prior" --mclip "$W/mclip" --xlmr-tokenizer "$W/xlmr_tokenizer" --movq "$W/movq" --out "$OUT"
stage sample.py --model "$OUT" --out "$OUT/samples.png"
stage evaluate.py --model "$OUT" --font "$FONT" --emojibase "$EMOJIBASE"

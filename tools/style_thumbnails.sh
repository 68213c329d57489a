#!/usr/bin/env bash
# Draws web/styles/NAME.webp, the thumbnails of the built-in styles, with kandinsky-mini, which knows emoji and no painters: so
# each shows a thing that stands for its style. Needs the built server (or KANDINSKY_BINARY); the same seeds draw the same again.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=${KANDINSKY_BINARY:-$PWD/target/release/kandinsky}
mkdir -p web/styles
draw() { # NAME SEED PROMPT
    [ $# -eq 3 ] && [[ -z "${only:-}" || " $only " == *" $1 "* ]] || return 0
    "$binary" generate text-to-image --prompt "$3" --seed "$2" --steps 30 --out "web/styles/$1.webp"
}
only="$*"
draw watercolour 1 "artist palette on a white background"
draw oil 1 "framed picture on a white background"
draw photo 1 "camera on a white background"
draw anime 1 "dragon on a pink background"
draw pixel-art 3 "alien monster on a black background"
draw avant-garde 2 "red triangle on a yellow background"
draw khokhloma 1 "hibiscus on a black background"
draw pencil 1 "pencil on a white background"
draw render 1 "gem stone on a blue background"
draw poster 1 "rocket on a red background"
draw digital 1 "unicorn on a purple background"
draw cyberpunk 1 "robot on a black background"
draw cartoon 1 "bear on a yellow background"
draw soviet-cartoon 1 "hedgehog on a green background"
draw sticker 1 "smiling face with heart-eyes on a white background"
draw studio 1 "studio microphone on a gray background"
draw seascape 1 "sailboat on a blue background"
draw suprematism 1 "red square on a white background"
draw cubism 3 "guitar on a brown background"
draw renaissance 1 "princess on a brown background"
draw medieval 1 "castle on a yellow background"
draw icon 1 "baby angel on a yellow background"
draw mosaic 1 "butterfly on a blue background"
draw new-year 1 "Christmas tree on a blue background"
for name in $(sed -n 's/^name = "\(.*\)"/\1/p' config/styles.toml); do
    [ -f "web/styles/$name.webp" ] || { echo "the style $name has no thumbnail"; exit 1; }
done

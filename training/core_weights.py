"""Sampling weights for the UNet: everyday emoji (animals, food, hearts, vehicles...) count several times.

With minutes of CPU training it is better to draw 500 common things well than 1,200 equally badly. The file is
optional: without it every emoji has the same probability, which is right for long training.
"""
import json
from pathlib import Path

import numpy as np

from common import load_items, parse, parser

# emojibase groups, subgroups and names that are everyday things
GROUPS = {3, 4}
SUBGROUPS = {0, 1, 2, 8, 11, 12, 14, 55, 56, 61, 62, 68}
NAMES = """
star; sun; fire; rainbow; cloud; snowflake; snowman; crescent moon; full moon; high voltage; umbrella; automobile;
bus; bicycle; locomotive; house; castle; tent; christmas tree; wrapped gift; balloon; crown; key; closed book;
books; light bulb; bomb; camera; telephone; laptop; watch; gem stone; eyes; taxi; fire engine; police car; tractor;
racing car; motorcycle; alarm clock; hourglass done; candle; scissors; hammer; gear; magnet; mouth; top hat;
glasses; dress; t-shirt; running shoe; ring; envelope; money bag; bell; game die; teddy bear; artist palette;
microphone; locked; globe showing europe-africa; water wave; volcano; mount fuji; desert island; sunglasses;
backpack; crossed swords; shield; scroll; pencil; paintbrush; broom; chair; bed; door; toilet; shopping cart; video
game; joker; chess pawn; jack-o-lantern; thumbs up; waving hand; victory hand; brain; bone; tooth; ear; nose;
footprints; droplet; comet; glowing star; sparkles; ringed planet
"""


def main():
    p = parser(__doc__)
    p.add_argument("--data", required=True, help="output of dataset.py")
    p.add_argument("--emojibase", required=True, help="unpacked emojibase-data package")
    p.add_argument("--out", required=True, help="weights.npy in the features folder")
    p.add_argument("--factor", type=float, default=4, help="how many times an everyday emoji counts")
    a = parse(p)
    meta = {x["hexcode"]: x for x in json.loads((Path(a.emojibase) / "en/data.json").read_text())}
    names = {n.strip() for n in NAMES.replace("\n", " ").split(";")}
    items = load_items(a.data)

    def is_core(item):
        x = meta[item["hex"]]
        return x.get("group") in GROUPS or x.get("subgroup") in SUBGROUPS or item["en"][0] in names

    core = np.array([is_core(i) for i in items])
    w = np.where(core, a.factor, 1.0)
    np.save(a.out, w / w.sum())
    print(f"{core.sum()} of {len(items)} emoji are core; they get {w[core].sum() / w.sum():.0%} of the samples")
    print("names that are not in the data set:", sorted(names - {i["en"][0] for i in items}))


if __name__ == "__main__":
    main()

"""Metrics of the exported folders.

--what encoders:  CLIP and multilingual CLIP retrieval, movq PSNR, on fresh renders without jitter
--what generated: pictures drawn by the pipelines: background colour right, emoji recognised by the model's own CLIP
--what speed:     seconds for one picture
"""
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import VQModel
from diffusers.pipelines.kandinsky.text_encoder import MultilingualCLIP
from transformers import CLIPTokenizer, XLMRobertaTokenizer

from common import parse, parser, recall, to_unit
from dataset import COLOUR_P, NAMES, RGB, SMOKE_EMOJI, EmojiData, add_source_args, background_phrase
from pipelines import Studio, add_pipeline_args
from train_clip import embed_images, embed_texts, load_text, load_vision
from train_mclip import embed_multilingual
from train_movq import psnr

METRICS = ("encoders", "generated", "speed")
GALLERY_RENDERS = 4  # per emoji, averaged


def encoders(a, ds):
    rng, n = random.Random(1), len(ds)
    prior, decoder = f"{a.model}/kandinsky-mini-prior", f"{a.model}/kandinsky-mini"
    vision, text, tok = load_vision(prior), load_text(prior), CLIPTokenizer.from_pretrained(f"{prior}/tokenizer")
    mclip = MultilingualCLIP.from_pretrained(f"{decoder}/text_encoder", dtype=torch.float32).eval()
    mclip_tok = XLMRobertaTokenizer.from_pretrained(f"{decoder}/tokenizer")
    movq = VQModel.from_pretrained(f"{decoder}/movq", dtype=torch.float32)
    own = torch.arange(n)
    for name, colours in (("white background, name only", [0] * n),
                          ("random background", [rng.randrange(len(NAMES)) for _ in range(n)])):
        x = np.stack([ds.render(i, c, rng, jitter=False) for i, c in enumerate(colours)])
        x = torch.from_numpy(x).permute(0, 3, 1, 2)
        gallery = embed_images(vision, x)
        for lang in ("en", "ru"):
            words = [item[lang][0] for item in ds.items]
            if name == "random background":
                words = [background_phrase(w, c, lang) for w, c in zip(words, colours)]
            for who, t in (("CLIP", embed_texts(text, tok, words)),
                           ("mCLIP", embed_multilingual(mclip, mclip_tok, words))):
                print(f"{who} {lang} text->image, {n} renders, {name}: R@1 {recall(t, gallery, own):.3f} "
                      f"R@5 {recall(t, gallery, own, 5):.3f}", flush=True)
        (raw, quantised), _, std = psnr(movq, to_unit(x[::10]))
        print(f"movq PSNR, {name}: {raw:.2f} dB raw latents (what inference uses), {quantised:.2f} dB quantised; "
              f"latent std {[round(v, 2) for v in std.tolist()]}", flush=True)


def background(picture):
    """Index of the named colour nearest to the picture's border (median of a 2-pixel frame)."""
    x = np.asarray(picture).astype(np.float32)
    strips = (x[:2], x[-2:], x[:, :2], x[:, -2:])
    edge = np.concatenate([s.reshape(-1, 3) for s in strips])
    return int(((np.median(edge, 0) - RGB) ** 2).sum(1).argmin())


def generated(a, ds, studio):
    """Prompts are half English, half Russian, one random background colour each."""
    rng, render_rng, n = np.random.RandomState(0), random.Random(0), len(ds)
    gallery = torch.zeros(n, studio.prior.image_encoder.config.projection_dim)
    for _ in range(GALLERY_RENDERS):
        colours = render_rng.choices(range(len(NAMES)), COLOUR_P, k=n)
        gallery += F.normalize(studio.embed_pictures(ds.render(i, c, render_rng) for i, c in enumerate(colours)), dim=1)
    pick = rng.choice(n, min(a.prompts, n), replace=False)
    right, embeds = [], []
    for k in range(0, len(pick), 32):
        ids = pick[k:k + 32]
        colours = [rng.randint(len(NAMES)) for _ in ids]
        langs = ["en" if j % 2 == 0 else "ru" for j in range(len(ids))]
        prompts = [background_phrase(ds.items[i][lang][0], c, lang) for i, c, lang in zip(ids, colours, langs)]
        pictures = studio.draw(prompts, k)
        right += [background(im) == c for im, c in zip(pictures, colours)]
        embeds.append(studio.embed_pictures(pictures))
    embeds, target = torch.cat(embeds), torch.from_numpy(pick)
    print(f"generated pictures, {len(pick)} prompts, guidance {a.guidance}: background colour {np.mean(right):.3f} "
          f"(en {np.mean(right[::2]):.3f}, ru {np.mean(right[1::2]):.3f}); emoji recognised by CLIP "
          f"top-1 {recall(embeds, gallery, target):.3f} top-5 {recall(embeds, gallery, target, 5):.3f}", flush=True)


def speed(a, studio):
    prompts = ["pizza on a blue background"]
    start = time.time()
    e = studio.embed(prompts)
    middle = time.time()
    studio.decode(prompts, e)
    print(f"seconds for one picture: prior {a.prior_steps} steps {middle - start:.2f}, "
          f"decoder {a.decoder_steps} steps {time.time() - middle:.2f}, threads {a.threads}", flush=True)


def main():
    p = add_source_args(add_pipeline_args(parser(__doc__)))
    p.add_argument("--what", nargs="+", default=METRICS, choices=METRICS)
    p.add_argument("--prompts", type=int, default=128, help="generated pictures")
    a = parse(p, limit=SMOKE_EMOJI, prompts=8, decoder_steps=2, prior_steps=2)
    ds = EmojiData(a.font, a.emojibase, a.limit)
    if "encoders" in a.what:
        encoders(a, ds)
    if "generated" in a.what or "speed" in a.what:
        studio = Studio(a)
        if "generated" in a.what:
            generated(a, ds, studio)
        if "speed" in a.what:
            speed(a, studio)


if __name__ == "__main__":
    main()

"""Metrics of the exported folders.

--what encoders:  CLIP and multilingual CLIP retrieval, movq PSNR, on fresh renders without jitter
--what error:     squared error of the UNet's predicted latents at four time steps, for comparing UNets
--what generated: pictures drawn by the pipelines: background colour right, emoji recognised by the model's own CLIP
--what speed:     seconds for one picture

The captions of `generated` and `error` are fixed: 256 pairs of an emoji and a background colour, each in English and in Russian, that
dataset.py keeps out of the training data. `--part test` is for the final numbers only: choose with `--part validation`.
"""
import random
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import VQModel
from diffusers.pipelines.kandinsky.text_encoder import MultilingualCLIP
from transformers import CLIPTokenizer, XLMRobertaTokenizer

from common import autocast, fast_cpu, parse, parser, recall, to_unit
from dataset import HELD_OUT, NAMES, RGB, SMOKE_EMOJI, EmojiData, add_source_args, background_phrase, pairs
from export import load_unet
from features import text_states
from fuse import fuse
from pipelines import Studio, add_pipeline_args
from train_clip import embed_images, embed_texts, load_text, load_vision
from train_mclip import embed_multilingual
from train_movq import psnr
from train_unet import make_scheduler, short_forward

METRICS = ("encoders", "error", "generated", "speed")
ERROR_TIMES = 900, 700, 500, 300
GALLERY_RENDERS = 2  # per emoji and colour
BATCH = 32


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


def make_gallery(ds, studio):
    """-> the judge's idea of every emoji on every colour: mean CLIP embedding of fresh renders, [colours,emoji,192]."""
    rng, gallery = random.Random(0), []
    for c in range(len(NAMES)):
        x = studio.embed_pictures(ds.render(i, c, rng) for _ in range(GALLERY_RENDERS) for i in range(len(ds)))
        gallery.append(F.normalize(x, dim=1).unflatten(0, (GALLERY_RENDERS, -1)).mean(0))
    return torch.stack(gallery)


def judge(title, pictures, emoji, colour, gallery, studio):
    """CLIP chooses among all emoji on the caption's background; "any": their mean over all backgrounds.

    CLIP's embedding is as much about the background as about the emoji, so "any" fails on real pictures too.
    """
    embeds = studio.embed_pictures(pictures)
    right = np.mean([background(im) == c for im, c in zip(pictures, colour)])
    ranks = []
    for candidates in (gallery[colour], gallery.mean(0).expand(len(colour), -1, -1)):
        likeness = (F.normalize(embeds, dim=1)[:, None] * F.normalize(candidates, dim=2)).sum(2)
        ranks.append((likeness > likeness[range(len(emoji)), emoji][:, None]).sum(1))
    own, any_ = ([(r < k).float().mean().item() for k in (1, 5)] for r in ranks)
    print(f"{title}: background colour {right:.3f}; emoji recognised by CLIP top-1 {own[0]:.3f} top-5 {own[1]:.3f} "
          f"(any background {any_[0]:.3f} {any_[1]:.3f})", flush=True)


@torch.no_grad()
def error(a, ds, studio):
    """The condition is what the prior says, the target the centred picture; pictures, noise and seeds are always the same.

    So the figures of two UNets can be compared to the last digit, where counts of recognised pictures are noisy.
    """
    sched, pipe = make_scheduler(), studio.pipe
    emoji, colour = (x[:a.prompts] for x in pairs(len(ds), a.part))
    pictures = np.stack([ds.render(i, c, None, jitter=False) for i, c in zip(emoji, colour)])
    pictures = to_unit(torch.from_numpy(pictures).permute(0, 3, 1, 2))
    z = torch.cat([pipe.movq.encode(x).latents for x in pictures.split(BATCH)])
    for lang in ("en", "ru"):
        prompts = [background_phrase(ds.items[i][lang][0], c, lang) for i, c in zip(emoji, colour)]
        e = torch.cat([studio.embed(prompts[k:k + BATCH], k)[0] for k in range(0, len(prompts), BATCH)])
        pooled, states = text_states(pipe.text_encoder, pipe.tokenizer, prompts)
        found = []
        for time_step in ERROR_TIMES:
            t = torch.full((len(z),), time_step)
            noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(time_step))
            noisy = sched.add_noise(z, noise, t)
            with autocast() if a.fast else nullcontext():
                parts = (x.split(BATCH) for x in (noisy, t, states, pooled, e))
                eps = torch.cat([short_forward(pipe.unet, *x)[:, :4].float() for x in zip(*parts)])
            ab = sched.alphas_cumprod[time_step]
            found.append(((noisy - (1 - ab).sqrt() * eps) / ab.sqrt() - z).square().mean().item())
        print(f"squared error of the predicted latents, {a.part}, {lang}: "
              + ", ".join(f"{y:.4f} at {t}" for t, y in zip(ERROR_TIMES, found)), flush=True)


def generated(a, ds, studio):
    gallery = make_gallery(ds, studio)
    emoji, colour = (x[:a.prompts] for x in pairs(len(ds), a.part))
    renders = [ds.render(i, c, None, (a.height, a.width), jitter=False) for i, c in zip(emoji, colour)]
    judge(f"the {len(emoji)} pictures themselves", renders, emoji, colour, gallery, studio)
    every = {}
    for lang in ("en", "ru"):
        prompts = [background_phrase(ds.items[i][lang][0], c, lang) for i, c in zip(emoji, colour)]
        pictures = every[lang] = []
        with autocast() if a.fast else nullcontext():
            for k in range(0, len(prompts), BATCH):
                pictures += studio.draw(prompts[k:k + BATCH], k, height=a.height, width=a.width)
        if a.save:
            Path(a.save).mkdir(parents=True, exist_ok=True)
            for k, (im, prompt) in enumerate(zip(pictures, prompts)):
                im.save(Path(a.save, f"{lang}-{k:03} {prompt.replace('/', '-')}.png"))
        judge(f"drawn, {a.part}, guidance {a.guidance:g}, {lang}", pictures, emoji, colour, gallery, studio)
        error = np.mean([(np.asarray(x).astype(np.float32) - y) ** 2 for x, y in zip(pictures, renders)]) ** 0.5
        print(f"  root mean square difference from the centred picture {error:.1f} of 255", flush=True)
    judge(f"drawn, {a.part}, guidance {a.guidance:g}, both", every["en"] + every["ru"], np.tile(emoji, 2),
          np.tile(colour, 2), gallery, studio)


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
    p.add_argument("--prompts", type=int, default=HELD_OUT, help="drawn captions of each language, at most")
    p.add_argument("--part", default="test", choices=("test", "validation"))
    p.add_argument("--height", type=int, default=64)
    p.add_argument("--width", type=int, default=64)
    p.add_argument("--unet", help="UNet folder in place of the model's, as train_unet.py or train_inpaint.py saves it")
    p.add_argument("--fast", action="store_true", help="draw with the kernels of the training: nearly the same pictures")
    p.add_argument("--save", help="folder for the drawn pictures")
    a = parse(p, limit=SMOKE_EMOJI, prompts=8, decoder_steps=2, prior_steps=2)
    ds = EmojiData(a.font, a.emojibase, a.limit)
    if "encoders" in a.what:
        encoders(a, ds)
    if {"error", "generated", "speed"} & set(a.what):
        if a.fast:
            fast_cpu()
        studio = Studio(a)
        if a.unet:
            studio.pipe.register_modules(unet=load_unet(a.unet, 4).float())
        if a.fast:
            fuse(studio.pipe.unet)
        if "error" in a.what:
            error(a, ds, studio)
        if "generated" in a.what:
            generated(a, ds, studio)
        if "speed" in a.what:
            speed(a, studio)


if __name__ == "__main__":
    main()

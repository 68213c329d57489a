"""Pre-compute what the UNet trains on.

--what latents: movq latents of the first K pictures with jitter         latents.npy float16 [K,4,16,16], colour.npy [M]
                of the centred pictures                        centred.npy   float16 [colours,emoji,4,16,16]
                of 64x96 and 96x64 backgrounds   canvas_{wide,tall}.npy      float16 [colours,4,h,w]
--what embeds:  CLIP image embeddings of the former        embeds.npy    float32 [M,192], zero_embed.npy
--what texts:   multilingual text states  pooled.npy [M,2,192], states.npy float16 [M,2,24,192], null_text.npz
                (all padding positions of XLM-R share one state, so 24 columns describe all 77)
--what prior:   samples of the prior      prior_embeds.npy               float32 [K,2,192], for the first K rows
"""
from pathlib import Path

import numpy as np
import torch
from diffusers import PriorTransformer, VQModel
from diffusers.pipelines.kandinsky.text_encoder import MultilingualCLIP
from transformers import CLIPTokenizer, XLMRobertaTokenizer

from common import autocast, fast_cpu, load_captions, load_images, parse, parser, to_unit
from dataset import RGB
from train_clip import DIM, embed_images, load_text, load_vision
from train_prior import sample

LEN = 24
CANVASES = {"wide": (64, 96), "tall": (96, 64)}
STAGES = ("latents", "embeds", "texts", "prior")


@torch.no_grad()
def text_states(model, tok, captions):
    """-> pooled [B,192], states [B,24,192]; column 23 is always a padding state."""
    enc = tok(captions, truncation=True, max_length=LEN - 1).input_ids
    ids = torch.tensor([i + [tok.pad_token_id] * (LEN - len(i)) for i in enc])
    return model(ids, (ids != tok.pad_token_id).long())


@torch.no_grad()
def encode(movq, images, path):
    with autocast():
        out = [movq.encode(to_unit(x)).latents.half() for x in images.split(64)]
    out = torch.cat(out)
    print(path, tuple(out.shape), "std", out.float().std((0, 2, 3)), flush=True)
    return out


def latents(a):
    movq = VQModel.from_pretrained(a.movq)
    images, emoji, colour = load_images(f"{a.data}/square.npz")
    n = int(emoji.max()) + 1
    np.save(f"{a.out}/latents.npy", encode(movq, images[:a.jitter_variants * n], "latents").numpy())
    np.save(f"{a.out}/colour.npy", colour.numpy())
    images, _, _ = load_images(f"{a.data}/centred.npz")
    np.save(f"{a.out}/centred.npy", encode(movq, images, "centred").unflatten(0, (-1, n)).numpy())
    for canvas, size in CANVASES.items():
        flat = torch.from_numpy(RGB)[:, :, None, None].expand(-1, -1, *size)
        np.save(f"{a.out}/canvas_{canvas}.npy", encode(movq, flat, canvas).numpy())


@torch.no_grad()
def embeds(a):
    vision = load_vision(a.clip)
    np.save(f"{a.out}/zero_embed.npy", vision(torch.zeros(1, 3, 64, 64)).image_embeds.numpy())
    out = embed_images(vision, load_images(f"{a.data}/square.npz")[0])
    np.save(f"{a.out}/embeds.npy", out.numpy())
    print("embeds", tuple(out.shape), "std", out.std().item(), flush=True)


@torch.no_grad()
def texts(a):
    model = MultilingualCLIP.from_pretrained(a.mclip, dtype=torch.float32).eval()
    tok = XLMRobertaTokenizer.from_pretrained(a.mclip_tokenizer)
    y, s = text_states(model, tok, [""])
    np.savez(f"{a.out}/null_text.npz", pooled=y.numpy(), states=s.numpy())
    flat = [c for pair in load_captions(a.data) for c in pair]
    pooled, states = [], []
    for i in range(0, len(flat), 512):
        with autocast():
            y, s = text_states(model, tok, flat[i:i + 512])
        pooled.append(y.float())
        states.append(s.half())
    np.save(f"{a.out}/pooled.npy", torch.cat(pooled).view(-1, 2, DIM).numpy())
    np.save(f"{a.out}/states.npy", torch.cat(states).view(-1, 2, LEN, DIM).numpy())
    print("texts", len(flat), flush=True)


def prior(a):
    """The UNet sees the prior's own outputs, at guidance 1 to 4."""
    torch.manual_seed(2)
    model = PriorTransformer.from_pretrained(a.prior).eval()
    tok, text = CLIPTokenizer.from_pretrained(a.clip_tokenizer), load_text(a.clip)
    _, emoji, _ = load_images(f"{a.data}/square.npz")
    rows, out = load_captions(a.data)[:a.prior_variants * (int(emoji.max()) + 1)], []
    for i in range(0, len(rows), 128):
        flat = [c for pair in rows[i:i + 128] for c in pair]
        with autocast():
            out.append(sample(model, text, tok, flat, a.prior_steps, 1 + 3 * torch.rand(len(flat), 1)).float())
    out = torch.cat(out).view(-1, 2, DIM).numpy()
    np.save(f"{a.out}/prior_embeds.npy", out)
    print("prior", out.shape, "std", out.std(), flush=True)


def main():
    p = parser(__doc__)
    p.add_argument("--what", nargs="+", default=STAGES, choices=STAGES)
    p.add_argument("--data", required=True, help="output of dataset.py")
    p.add_argument("--out", required=True)
    p.add_argument("--model", help="exported model folder: gives every component that is not named below")
    p.add_argument("--movq", help="output of train_movq.py")
    p.add_argument("--clip", help="output of train_clip.py")
    p.add_argument("--clip-tokenizer", help="clip_tokenizer of train_tokenizers.py")
    p.add_argument("--mclip", help="output of train_mclip.py")
    p.add_argument("--mclip-tokenizer", help="xlmr_tokenizer of train_tokenizers.py")
    p.add_argument("--prior", help="output of train_prior.py")
    p.add_argument("--jitter-variants", type=int, default=6, help="latents with jitter of so many variants of every emoji")
    p.add_argument("--prior-variants", type=int, default=5, help="sample the prior for so many variants of every emoji")
    p.add_argument("--prior-steps", type=int, default=5)
    a = parse(p, prior_variants=1, prior_steps=2)
    if a.model:
        a.movq = a.movq or f"{a.model}/kandinsky-mini/movq"
        a.clip = a.clip or f"{a.model}/kandinsky-mini-prior"
        a.clip_tokenizer = a.clip_tokenizer or f"{a.model}/kandinsky-mini-prior/tokenizer"
        a.mclip = a.mclip or f"{a.model}/kandinsky-mini/text_encoder"
        a.mclip_tokenizer = a.mclip_tokenizer or f"{a.model}/kandinsky-mini/tokenizer"
        a.prior = a.prior or f"{a.model}/kandinsky-mini-prior/prior"
    fast_cpu()
    Path(a.out).mkdir(parents=True, exist_ok=True)
    for what in a.what:
        {"latents": latents, "embeds": embeds, "texts": texts, "prior": prior}[what](a)


if __name__ == "__main__":
    main()

"""Helpers shared by the training scripts: command line, schedules, averaging, optimiser step, files, metrics."""
import argparse
import copy
import json
import math
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F


def parser(doc):
    """An argument parser that shows the first line of a script's docstring."""
    return argparse.ArgumentParser(
        description=doc.strip().splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)


def parse(p, **smoke):
    """Parse the command line; `--smoke` replaces the defaults by `smoke`, explicit arguments win over both."""
    p.add_argument("--smoke", action="store_true", help="tiny settings: checks that the stage runs, not that it learns")
    p.add_argument("--threads", type=int, default=1, help="OpenMP threads")
    if p.parse_known_args()[0].smoke:
        p.set_defaults(**smoke)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    return args


def add_schedule_args(p, minutes, lr):
    """How long a training stage runs (whichever limit comes first) and its peak learning rate."""
    p.add_argument("--minutes", type=float, default=minutes, help="wall clock, without pauses")
    p.add_argument("--steps", type=int, default=10**9, help="largest number of steps")
    p.add_argument("--lr", type=float, default=lr, help="peak learning rate")
    return p


def fast_cpu():
    """Same maths, faster kernels on CPU.

    GroupNorm is computed as a LayerNorm over the rows [B*G, C/G*H*W] (ATen's CPU GroupNorm backward is
    several times slower), attention by two batched matmuls instead of the flash kernel.
    """

    def group_norm(self, x):
        b, c = x.shape[:2]
        n = x.numel() // (b * self.num_groups)
        # the aten operator, because autocast does not force it to fp32
        y = torch.ops.aten.native_layer_norm(x.reshape(b, self.num_groups, n), (n,), None, None, self.eps)[0]
        y = y.view(x.shape)
        shape = (1, c) + (1,) * (x.dim() - 2)
        return torch.addcmul(self.bias.view(shape).to(y.dtype), y, self.weight.view(shape).to(y.dtype))

    def sdpa(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
        s = torch.matmul(q * (scale or q.shape[-1] ** -0.5), k.transpose(-1, -2))
        if attn_mask is not None:
            s = s.masked_fill(~attn_mask, -1e9) if attn_mask.dtype == torch.bool else s + attn_mask
        if is_causal:
            s = s + torch.full(s.shape[-2:], -1e9).triu(1)
        return torch.matmul(s.float().softmax(-1).to(v.dtype), v)

    torch.nn.GroupNorm.forward = group_norm
    F.scaled_dot_product_attention = sdpa


# AVX-512 without AMX multiplies fp32 nearly twice as fast as bf16
FAST_BF16 = torch.cpu._is_amx_tile_supported()


def autocast():
    """bf16 where it is the faster type."""
    return torch.autocast("cpu", torch.bfloat16, enabled=FAST_BF16)


class Clock:
    """Time-boxed training: `for step in Clock(minutes)`; `frac` in [0, 1] drives the schedules.

    The time between two steps counts up to LONGEST_STEP: while the process is stopped, so is the clock.
    `agree` maps this process's frac to the one all processes use, so that they leave the loop together.
    """

    LONGEST_STEP = 60  # seconds

    def __init__(self, minutes, max_steps=10**9, agree=lambda frac: frac):
        self.minutes, self.max_steps, self.agree = minutes, max_steps, agree
        self.frac, self.seconds = 0.0, 0.0

    def __iter__(self):
        step, last = 0, time.time()
        while True:
            now = time.time()
            self.seconds, last = self.seconds + min(now - last, self.LONGEST_STEP), now
            self.frac = self.agree(max(self.seconds / 60 / self.minutes, step / self.max_steps))
            if self.frac >= 1:
                return
            yield step
            step += 1

    def lr(self, step, peak, warmup=100, floor=0.02, decay=1.0):
        """Linear warm-up, then constant; cosine to `floor * peak` over the last `decay` part of the run."""
        f = 0.0 if decay == 0 else max(0.0, (min(self.frac, 1.0) - (1 - decay)) / decay)
        return peak * min(1, (step + 1) / warmup) * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * f)))


def optimise(opt, loss, lr):
    """One optimiser step: backward, clipping to norm 1, update."""
    params = []
    for g in opt.param_groups:
        g["lr"] = lr
        params += g["params"]
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    opt.step()


class EMA:
    """Exponential moving average of a model's weights, `decay` reached gradually over the first updates."""

    def __init__(self, model, decay=0.999):
        self.model, self.decay, self.n = copy.deepcopy(model).requires_grad_(False).eval(), decay, 0

    @torch.no_grad()
    def update(self, model):
        self.n += 1
        d = min(self.decay, (1 + self.n) / (10 + self.n))
        torch._foreach_lerp_(list(self.model.parameters()), [p.detach() for p in model.parameters()], 1 - d)


def save(folder, model, **states):
    """Write `model` (save_pretrained) and one `NAME.pt` per keyword argument into `folder`.

    Every file is replaced in one step, so a reader finds a complete save at any time.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as tmp:
        model.save_pretrained(tmp)
        for name, state in states.items():
            torch.save(state, Path(tmp, f"{name}.pt"))
        for f in Path(tmp).iterdir():
            os.replace(f, folder / f.name)


def load_images(path):
    """-> uint8 images [M,3,H,W], emoji index [M], colour index [M]."""
    d = np.load(path)
    images = torch.from_numpy(d["images"]).permute(0, 3, 1, 2).contiguous()
    return images, torch.from_numpy(d["emoji"]), torch.from_numpy(d["colour"])


def to_unit(x):
    """uint8 [B,3,H,W] -> float [-1,1]."""
    return x.float() / 127.5 - 1


def load_captions(data):
    """-> list of [English, Russian] captions, one pair per picture of square.npz."""
    return json.loads((Path(data) / "captions.json").read_text())


def load_items(data):
    """-> list of the emoji's names and keywords, in the order of the emoji indices."""
    return json.loads((Path(data) / "items.json").read_text())


def recall(queries, gallery, target, k=1):
    """Share of rows of `queries` [Q,D] with their `target` [Q] among the k nearest (cosine) rows of `gallery` [N,D]."""
    top = (F.normalize(queries, dim=1) @ F.normalize(gallery, dim=1).T).topk(min(k, len(gallery)), dim=1).indices
    return (top == target[:, None]).any(1).float().mean().item()

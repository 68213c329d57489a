"""The paper's two deterministic priors (Table 3): CLIP text embedding -> CLIP image embedding.

linear:   image = proj.weight @ text + proj.bias                       closed-form ridge regression
residual: h = proj_in(text); 18 x h += fc2(gelu(fc1(norm(h)))); image = proj_out(norm_out(h)) * clip_std + clip_mean
All tensors are float16, embeddings are the raw (not normalised) 192-vectors.
"""
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTokenizer

from common import Clock, add_schedule_args, load_captions, load_images, optimise, parse, parser, recall
from train_clip import DIM, embed_images, embed_texts, load_text, load_vision

BLOCKS = 18


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.LayerNorm(DIM), nn.Linear(DIM, DIM), nn.Linear(DIM, DIM)

    def forward(self, h):
        return h + self.fc2(F.gelu(self.fc1(self.norm(h))))


class ResidualPrior(nn.Module):
    """`mean`, `std` [D]: statistics of the image embeddings."""

    def __init__(self, mean, std):
        super().__init__()
        self.proj_in = nn.Linear(DIM, DIM)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm_out, self.proj_out = nn.LayerNorm(DIM), nn.Linear(DIM, DIM)
        self.register_buffer("clip_mean", mean)
        self.register_buffer("clip_std", std)

    def normalised(self, text):
        h = self.proj_in(text)
        for b in self.blocks:
            h = b(h)
        return self.proj_out(self.norm_out(h))

    def forward(self, text):
        return self.normalised(text) * self.clip_std + self.clip_mean


def fit_linear(x, y, ridge):
    """-> weight, bias with y ~ weight @ x + bias."""
    xm, ym = x.mean(0), y.mean(0)
    w = torch.linalg.solve((x - xm).T @ (x - xm) + ridge * torch.eye(DIM), (x - xm).T @ (y - ym)).T
    return w, ym - w @ xm


def fit_residual(x, y, clock, lr):
    model = ResidualPrior(y.mean(0), y.std(0))
    opt = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    target = (y - model.clip_mean) / model.clip_std
    for step in clock:
        idx = torch.randint(len(x), (512,))
        loss = F.mse_loss(model.normalised(x[idx]), target[idx])
        optimise(opt, loss, clock.lr(step, lr))
        if step % 200 == 0:
            print(f"residual {step} mse {loss:.4f} {clock.seconds:.0f}s", flush=True)
    return model


def write(folder, tensors, config):
    Path(folder).mkdir(parents=True, exist_ok=True)
    tensors = {k: v.half().contiguous() for k, v in tensors.items()}
    save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
    Path(folder, "config.json").write_text(json.dumps(config, indent=2))


def main():
    p = add_schedule_args(parser(__doc__), minutes=3, lr=1e-3)
    p.add_argument("--data", required=True, help="output of dataset.py")
    p.add_argument("--clip", required=True, help="output of train_clip.py")
    p.add_argument("--tokenizer", required=True, help="clip_tokenizer of train_tokenizers.py")
    p.add_argument("--out", required=True, help="gets prior-linear/ and prior-residual/")
    p.add_argument("--ridge", type=float, default=10.0)
    a = parse(p, steps=5)
    torch.manual_seed(4)
    images, emoji, _ = load_images(f"{a.data}/square.npz")
    captions = load_captions(a.data)
    n = int(emoji.max()) + 1
    tok, text, vision = CLIPTokenizer.from_pretrained(a.tokenizer), load_text(a.clip), load_vision(a.clip)
    picture = embed_images(vision, images)
    caption = [embed_texts(text, tok, [pair[lang] for pair in captions]) for lang in (0, 1)]
    x, y = torch.cat(caption), torch.cat([picture, picture])

    @torch.no_grad()
    def report(name, f):
        for lang, t in zip(("en", "ru"), caption):
            e = f(t[:n])
            cosine = F.cosine_similarity(e, picture[:n]).mean()
            print(f"{name} {lang} R@1 {recall(e, picture[:n], torch.arange(n)):.3f} cosine {cosine:.3f}", flush=True)

    w, b = fit_linear(x, y, a.ridge)
    report("linear", lambda t: t @ w.T + b)
    write(f"{a.out}/prior-linear", {"proj.weight": w, "proj.bias": b}, {"type": "linear", "embedding_dim": DIM})
    model = fit_residual(x, y, Clock(a.minutes, a.steps), a.lr)
    report("residual", model)
    write(f"{a.out}/prior-residual", model.state_dict(), {
        "type": "residual", "embedding_dim": DIM, "hidden_dim": DIM, "num_blocks": BLOCKS, "activation": "gelu",
        "layer_norm_eps": 1e-5})


if __name__ == "__main__":
    main()

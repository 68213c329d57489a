"""MoVQ autoencoder: 64x64x3 pixels <-> 16x16x4 latents (f = 4), spatially conditioned decoder norms.

Inference decodes with force_not_quantize=True, so half of every batch goes through the codebook
(straight-through) and half is the raw latent plus a little noise (which makes the decoder robust to
the small errors of the diffusion model). The latents are pushed to zero mean and identity covariance
because the Kandinsky 2.1 pipelines do not multiply by a scaling factor.
"""
import torch
import torch.nn.functional as F
from diffusers import VQModel

from common import (
    EMA,
    Clock,
    add_schedule_args,
    autocast,
    fast_cpu,
    load_images,
    optimise,
    parse,
    parser,
    save,
    to_unit,
)

CODES, CHANNELS = 1024, 4


def make_movq():
    return VQModel(
        in_channels=3, out_channels=3, latent_channels=CHANNELS, vq_embed_dim=CHANNELS, num_vq_embeddings=CODES,
        block_out_channels=(32, 64, 128), layers_per_block=1, norm_num_groups=16, norm_type="spatial", sample_size=64,
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D", "UpDecoderBlock2D"),
    )


def quantise(movq, h):
    """h [B,4,H,W] -> (nearest codes with straight-through gradient, codebook + commitment loss, indices)."""
    flat = h.permute(0, 2, 3, 1).reshape(-1, h.shape[1])
    book = movq.quantize.embedding.weight
    with torch.no_grad():
        idx = (book.pow(2).sum(1) - 2 * flat @ book.T).argmin(1)
    q = F.embedding(idx, book)
    loss = F.mse_loss(q, flat.detach()) + 0.25 * F.mse_loss(flat, q.detach())
    q = flat + (q - flat).detach()
    return q.view(h.shape[0], *h.shape[2:], -1).permute(0, 3, 1, 2), loss, idx


@torch.no_grad()
def revive(movqs, h, used):
    """Give codes that nothing used random latents of the batch, the same ones in all `movqs`."""
    flat = h.detach().permute(0, 2, 3, 1).reshape(-1, CHANNELS)
    dead = (used < 3).nonzero()[:, 0]
    pick = flat[torch.randint(len(flat), (len(dead),))]
    for movq in movqs:
        movq.quantize.embedding.weight[dead] = pick


@torch.no_grad()
def psnr(movq, x):
    """x [B,3,H,W] in [-1,1] -> (PSNR of raw latents, of quantised latents), latent mean [4], latent std [4]."""
    h = movq.encode(x).latents.float()
    out = []
    for raw in (True, False):
        y = movq.decode(h, force_not_quantize=raw).sample.float().clamp(-1, 1)
        out.append((10 * torch.log10(4 / (y - x).pow(2).mean((1, 2, 3)))).mean().item())
    return out, h.mean((0, 2, 3)), h.std((0, 2, 3))


def main():
    p = add_schedule_args(parser(__doc__), minutes=18, lr=1.5e-3)
    p.add_argument("--data", required=True, help="output of dataset.py")
    p.add_argument("--out", required=True)
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--init", help="go on from the movq in this folder")
    p.add_argument("--decoder-only", action="store_true", help="keep the latents (once a UNet is trained on them)")
    a = parse(p, steps=4, batch=4)
    torch.manual_seed(0)
    fast_cpu()
    images, _, _ = load_images(f"{a.data}/square.npz")
    movq = VQModel.from_pretrained(a.init) if a.init else make_movq()
    ema = EMA(movq, 0.995)
    if a.decoder_only:
        for m in (movq.encoder, movq.quant_conv, movq.quantize):
            m.requires_grad_(False)
    params = [q for q in movq.parameters() if q.requires_grad]
    opt = torch.optim.AdamW(params, lr=a.lr, betas=(0.9, 0.98), weight_decay=1e-4)
    clock, used = Clock(a.minutes, a.steps), torch.zeros(CODES)
    crop_until = 0.0 if a.init else 0.6
    for step in clock:
        full = clock.frac > crop_until
        n = a.batch if full else a.batch * 2
        x = to_unit(images[torch.randint(len(images), (n,))])
        if torch.rand(()) < 0.5:
            x = x.flip(3)
        if not full:  # 32x32 crops first: four times cheaper
            i, j = torch.randint(0, 9, (2,)).tolist()
            x = x[:, :, 4 * i:4 * i + 32, 4 * j:4 * j + 32]
        with autocast():
            h = movq.encode(x).latents.float()
            q, vq_loss, idx = quantise(movq, h)
            raw = (torch.rand(n, 1, 1, 1) < 0.5).float()
            noisy = h + 0.1 * torch.randn_like(h) * torch.rand(n, 1, 1, 1)
            y = movq.decode(raw * noisy + (1 - raw) * q, force_not_quantize=True).sample.float()
        rec = F.l1_loss(y, x) + F.mse_loss(y, x)
        edge = F.l1_loss(y.diff(dim=2), x.diff(dim=2)) + F.l1_loss(y.diff(dim=3), x.diff(dim=3))
        f = h.permute(1, 0, 2, 3).flatten(1)
        white = f.mean(1).pow(2).mean() + (torch.cov(f) - torch.eye(CHANNELS)).pow(2).mean()
        optimise(opt, rec + 0.5 * edge + 0.05 * white + 0.1 * vq_loss, clock.lr(step, a.lr, warmup=50))
        ema.update(movq)
        used += torch.bincount(idx, minlength=CODES).float()
        if step % 100 == 0:
            print(f"{step} {clock.frac:.2f} rec {rec:.4f} edge {edge:.4f} white {white:.3f} vq {vq_loss:.4f} "
                  f"codes {int((used > 0).sum())} {clock.seconds:.0f}s", flush=True)
        if step % 60 == 30 and clock.frac < 0.7 and not a.decoder_only:
            revive((movq, ema.model), h, used)
            used.zero_()
        if step % 400 == 399:
            save(a.out, ema.model)
    save(a.out, ema.model)
    (raw, quantised), mean, std = psnr(ema.model, to_unit(images[::151]))
    print(f"PSNR raw {raw:.2f} dB, quantised {quantised:.2f} dB; latent mean {mean.tolist()}, std {std.tolist()}")


if __name__ == "__main__":
    main()

"""Latent diffusion UNet conditioned on the CLIP image embedding and the XLM-R text states.

Pictures: text to image learns the centred emoji, so there is one right answer to a caption and the network can learn it
by heart; inpainting also sees pictures with jitter.
Loss: epsilon MSE on channels 0..3, weighted to count the noisy steps, where the condition decides what is drawn, more
than min-SNR does; improved-DDPM variational loss (mean detached) on channels 4..7, so the learned-range variance works
with DDPM sampling.
Conditioning dropout: image -> embedding of the all-zero picture, text -> "", sometimes both (classifier-free guidance).
Run one process per core, `--world 2 --rank 0` and `--world 2 --rank 1`: each takes its own small steps, and every
`--meet` seconds both go on from the average of their weights. No step waits for the other core.
`main(inpaint=True)` trains the 9-channel inpainting UNet, see train_inpaint.py.
"""
import math
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from diffusers import DDIMScheduler, UNet2DConditionModel

from common import EMA, Clock, add_schedule_args, autocast, fast_cpu, optimise, parse, parser, save
from features import CANVASES, LEN
from fuse import fuse
from muon import Muon

TEXT_POSITIONS, IMAGE_TOKENS = 77, 10  # what the UNet attends to in the pipelines


def make_unet(in_channels=4):
    return UNet2DConditionModel(
        sample_size=16, in_channels=in_channels, out_channels=8, addition_embed_type="text_image",
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        block_out_channels=(96, 128, 192), layers_per_block=1, attention_head_dim=32,
        encoder_hid_dim=192, encoder_hid_dim_type="text_image_proj", cross_attention_dim=192,
        resnet_time_scale_shift="scale_shift", act_fn="silu", norm_num_groups=32, norm_eps=1e-5,
        flip_sin_to_cos=True, freq_shift=0, downsample_padding=1, center_input_sample=False, upcast_attention=False)


def make_scheduler():
    return DDIMScheduler(
        num_train_timesteps=1000, beta_schedule="linear", beta_start=0.00085, beta_end=0.012, clip_sample=False,
        set_alpha_to_one=False, steps_offset=1, prediction_type="epsilon", thresholding=False)


def short_forward(unet, x, t, states, pooled, e):
    """UNet on the first 24 text states instead of all 77, with the same result.

    The other 53 positions repeat the padding state of column 23: its attention logit gets log(54). The UNet turns
    a mask m into the logit offset (1 - m) * -10000.
    """
    mask = torch.ones(len(x), IMAGE_TOKENS + LEN)
    mask[:, -1] += math.log(TEXT_POSITIONS - LEN + 1) / 10000
    return unet(x, t, states, encoder_attention_mask=mask, return_dict=False,
                added_cond_kwargs={"text_embeds": pooled, "image_embeds": e})[0]


def random_mask(everything, h, w):
    """[n,1,h,w], 1 = keep, 0 = repaint: all of it where `everything` [n], elsewhere rectangles, strokes, half planes."""

    def below(high, low=0):
        return torch.randint(low, high, ()).item()

    m = torch.zeros(len(everything), 1, h, w)
    for k in (~everything).nonzero()[:, 0].tolist():
        m[k] = 1
        kind = torch.rand(()).item()
        if kind < 0.45:  # one or two rectangles
            for _ in range(1 + int(torch.rand(()) < 0.3)):
                a, b = below(max(4, h * 3 // 4), 3), below(max(4, w * 3 // 4), 3)
                i, j = below(h - a + 1), below(w - b + 1)
                m[k, :, i:i + a, j:j + b] = 0
        elif kind < 0.65:  # stroke: random walk
            i, j = below(h), below(w)
            for _ in range(below(20, 6)):
                m[k, :, max(i - 1, 0):i + 2, max(j - 1, 0):j + 2] = 0
                i, j = min(max(i + below(3, -2), 0), h - 1), min(max(j + below(3, -2), 0), w - 1)
        else:  # half plane (outpainting)
            side, f = below(4), 0.3 + 0.4 * torch.rand(()).item()
            a, b = int(h * f), int(w * f)
            rows, columns = ((slice(a), slice(None)), (slice(h - a, h), slice(None)),
                             (slice(None), slice(b)), (slice(None), slice(w - b, w)))[side]
            m[k, :, rows, columns] = 0
    return m


def widen(w):
    """conv_in weight of 4 input channels -> 9, the new ones (masked latents, mask) starting at zero."""
    return w if w.shape[1] == 9 else torch.cat([w, torch.zeros(w.shape[0], 5, *w.shape[2:])], 1)


class Data:
    """The features of features.py; `batch` draws pictures, adds noise to the embeddings and drops conditions."""

    def __init__(self, path, embed_noise, prior_p, jitter_p):
        path = Path(path)

        def load(name):
            return np.load(path / f"{name}.npy", mmap_mode="r")

        self.centred, self.jittered = load("centred"), load("latents")
        self.canvases = {canvas: load(f"canvas_{canvas}") for canvas in CANVASES}
        self.colour, self.embeds = load("colour"), load("embeds")
        self.pooled, self.states = load("pooled"), load("states")
        self.emoji = self.centred.shape[1]  # row = variant * emoji + i
        self.zero = torch.from_numpy(np.load(path / "zero_embed.npy"))
        null = np.load(path / "null_text.npz")
        self.null_pooled, self.null_states = (torch.from_numpy(null[k]).float() for k in ("pooled", "states"))
        self.noise = embed_noise * torch.from_numpy(np.std(self.embeds, 0))
        self.prior_p, self.jitter_p = prior_p, jitter_p
        # optional [K,2,192]: what the prior says for the two captions of the first K rows
        self.prior = load("prior_embeds") if (path / "prior_embeds.npy").exists() else None

    def batch(self, n, mask_all):
        """-> latents [B,4,h,w], everything [B], image embeddings [B,192], pooled text [B,192], text states [B,24,192].

        All of one size; B = n for squares, fewer for the larger canvases. `everything`: the share `mask_all`, which is
        to be drawn from nothing. On a larger canvas the latents of the square are put on those of the background (as
        good as encoding the whole: 28.0 dB after decoding instead of 28.3), in the middle if drawn from nothing.
        """
        u = torch.rand(()).item()
        canvas = None if u < 0.9 else ("wide" if u < 0.95 else "tall")
        if canvas:
            n = max(1, n * 2 // 3)
        idx, lang = np.random.randint(len(self.colour), size=n), np.random.randint(2, size=n)
        everything = np.random.rand(n) < mask_all
        jitter = np.random.rand(n) < np.where(everything, self.jitter_p, 0.6)
        idx[jitter] %= len(self.jittered)
        z = self.centred[self.colour[idx], idx % self.emoji]
        z[jitter] = self.jittered[idx[jitter]]
        if canvas:
            square, z = z, self.canvases[canvas][self.colour[idx]]
            side, spare = square.shape[-1], [m - s for m, s in zip(z.shape[2:], square.shape[2:])]
            for k in range(n):
                top, left = (m // 2 if everything[k] else np.random.randint(m + 1) for m in spare)
                z[k, :, top:top + side, left:left + side] = square[k]
        e = torch.from_numpy(self.embeds[idx])
        pooled, states = torch.from_numpy(self.pooled[idx, lang]), torch.from_numpy(self.states[idx, lang]).float()
        amount = torch.rand(n, 1) * (torch.rand(n, 1) < 0.6)
        e = e + amount * self.noise * torch.randn_like(e)
        if self.prior is not None:
            use = (torch.rand(n, 1) < self.prior_p) & (torch.from_numpy(idx)[:, None] < len(self.prior))
            e = torch.where(use, torch.from_numpy(self.prior[idx % len(self.prior), lang]), e)
        u = torch.rand(n)
        no_image, no_text = u < 0.1, (u < 0.08) | (u > 0.8)  # 8 % both, 2 % image only, 20 % text only: image variations
        e = torch.where(no_image[:, None], self.zero, e)
        pooled = torch.where(no_text[:, None], self.null_pooled, pooled)
        states = torch.where(no_text[:, None, None], self.null_states, states)
        return torch.from_numpy(z).float(), torch.from_numpy(everything), e, pooled, states


class Diffusion:
    """The training objective."""

    def __init__(self, inpaint, weight_power, time_power, vlb_weight):
        """The squared error of the predicted picture counts min(SNR, 5) ** weight_power.

        Time steps are drawn as 1000 * uniform ** time_power: less than 1 means more of the noisy ones.
        """
        self.sched, self.inpaint = make_scheduler(), inpaint
        self.time_power, self.vlb_weight = time_power, vlb_weight
        self.beta, self.ab = self.sched.betas, self.sched.alphas_cumprod
        prev = torch.cat([torch.ones(1), self.ab[:-1]])
        self.post_var = self.beta * (1 - prev) / (1 - self.ab)
        self.post_var[0] = self.post_var[1]
        snr = self.ab / (1 - self.ab)
        weight = snr.clamp(max=5) ** weight_power / snr
        self.weight = weight / weight.mean()

    def loss(self, unet, z, everything, e, pooled, states):
        """-> loss, and for the log: variational loss in bits per dimension, MSE of the five fifths of the time steps."""
        n = len(z)  # one time step from each n-th of the distribution: less noise in the gradient than n free draws
        t = (1000 * ((torch.randperm(n) + torch.rand(n)) / n) ** self.time_power).long().clamp(max=999)
        eps = torch.randn_like(z)
        xt = x = self.sched.add_noise(z, eps, t)
        if self.inpaint:
            m = random_mask(everything, *z.shape[2:])
            x = torch.cat([xt, z * m, m], 1)
        with autocast():
            y = short_forward(unet, x, t, states, pooled, e)
        pred, v = y.float().chunk(2, 1)
        ab, beta, post_var, weight = (
            table[t].view(-1, 1, 1, 1) for table in (self.ab, self.beta, self.post_var, self.weight))
        error = (pred - eps).pow(2)
        # variational bound: KL(q(x_{t-1}|x_t,x_0) || p); the two means differ by a multiple of the error
        low, high = post_var.log(), beta.log()
        lv = (v + 1) / 2 * (high - low) + low
        distance = beta.pow(2) / ((1 - ab) * (1 - beta)) * error.detach()
        kl = 0.5 * (lv - low - 1 + (low - lv).exp() + distance * (-lv).exp())
        vlb = kl.clamp(max=10).mean() / math.log(2)
        sums = torch.zeros(2, 5).index_add_(1, t // 200, torch.stack([error.detach().mean((1, 2, 3)), torch.ones(len(z))]))
        return (weight * error).mean() + self.vlb_weight * vlb, torch.cat([vlb.detach()[None], sums.flatten()]).numpy()


class Team:
    """The processes of one run. Each trains on its own; at a meeting all take the average of their weights."""

    def __init__(self, rank, world, port, params, seconds):
        self.world, self.params, self.seconds, self.steps = world, list(params), seconds, 0
        self.next = time.time() + seconds
        if world > 1:
            dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world,
                                    timeout=timedelta(days=1))  # a pause of the processes is no error

    @torch.no_grad()
    def meet(self, frac):
        """Called before every step with this process's share of the run -> the share to go by, of rank 0's clock.

        Weights count by the steps since the last meeting: under load one core may have made fewer. The run ends at a
        meeting, so that no process waits for one that has left.
        """
        if self.world == 1:
            return frac
        self.steps += 1
        if time.time() < self.next and frac < 1:
            return frac
        flat = torch.cat([p.flatten() for p in self.params] + [torch.ones(1)]) * self.steps
        dist.all_reduce(flat)
        flat /= flat[-1].clone()
        for p, mean in zip(self.params, flat.split([p.numel() for p in self.params] + [1])):
            p.copy_(mean.view_as(p))
        clock = torch.tensor([frac, time.time() + self.seconds], dtype=torch.float64)
        dist.broadcast(clock, 0)
        frac, self.next = clock.tolist()
        self.steps = 0
        return frac

    def leave(self):
        if self.world > 1:
            dist.destroy_process_group()


def main(inpaint=False, doc=__doc__):
    p = add_schedule_args(parser(doc), minutes=150 if inpaint else 12, lr=1e-3)
    p.add_argument("--features", required=True, help="output of features.py")
    p.add_argument("--out", required=True, help="gets the averaged weights (diffusers folder) and state.pt")
    p.add_argument("--init", help="start from this UNet folder")
    p.add_argument("--resume", help="state.pt of an earlier run")
    p.add_argument("--batch", type=int, default=64, help="per process")
    p.add_argument("--warmup", type=int, default=150, help="steps in which the learning rate rises")
    p.add_argument("--decay", type=float, default=0.2, help="last part of the run in which the learning rate falls")
    p.add_argument("--ema", type=float, default=0.996, help="decay of the weight average")
    p.add_argument("--mask-all", type=float, default=0.9, help="share of masks that repaint everything (inpainting)")
    p.add_argument("--embed-noise", type=float, default=0.3)
    p.add_argument("--prior-p", type=float, default=1.0, help="use the prior's embedding where there is one")
    p.add_argument("--jitter-p", type=float, default=0.0, help="share of text to image that learns pictures with jitter")
    p.add_argument("--weight-power", type=float, default=0.5, help="see Diffusion; 1: min-SNR weights")
    p.add_argument("--time-power", type=float, default=0.7, help="see Diffusion; 1: all time steps alike")
    p.add_argument("--adam-scale", type=float, default=0.1, help="learning rate of first, last layer, norms and biases")
    p.add_argument("--vlb-weight", type=float, default=0.1, help="weight of the variational loss")
    p.add_argument("--save-minutes", type=float, default=5)
    p.add_argument("--rank", type=int, default=0)
    p.add_argument("--world", type=int, default=1)
    p.add_argument("--meet", type=float, default=20, help="seconds between two averages over the processes")
    p.add_argument("--port", type=int, default=29511, help="where the processes meet; one port per run")
    a = parse(p, steps=4, batch=4)
    fast_cpu()
    torch.manual_seed(3)
    unet = make_unet(9 if inpaint else 4)
    if a.init:
        base = UNet2DConditionModel.from_pretrained(a.init).state_dict()
        if inpaint:
            base["conv_in.weight"] = widen(base["conv_in.weight"])
        unet.load_state_dict(base)
    opt = Muon(unet.named_parameters(), a.lr, adam_names=("conv_in.weight", "conv_out.weight"), adam_scale=a.adam_scale,
               stacked={"time_emb_proj.weight": 2})
    ema = EMA(unet, a.ema)
    done = 0
    if a.resume:
        s = torch.load(a.resume)
        if inpaint:
            conv_in = s["opt"]["state"][opt.names.index("conv_in.weight")]
            for d, key in ((s["unet"], "conv_in.weight"), (s["ema"], "conv_in.weight"),
                           (conv_in, "exp_avg"), (conv_in, "exp_avg_sq")):
                d[key] = widen(d[key])
        s["opt"]["param_groups"] = opt.state_dict()["param_groups"]  # the moments only; settings are this run's
        unet.load_state_dict(s["unet"])
        opt.load_state_dict(s["opt"])
        ema.model.load_state_dict(s["ema"])
        ema.n = done = s["step"]
    seed = 100 * done + a.rank
    torch.manual_seed(seed)
    np.random.seed(seed)
    team = Team(a.rank, a.world, a.port, unet.parameters(), a.meet)

    def checkpoint(step):
        save(a.out, ema.model,
             state={"unet": unet.state_dict(), "opt": opt.state_dict(), "ema": ema.model.state_dict(), "step": step})

    fuse(unet)
    data = Data(a.features, a.embed_noise, a.prior_p, a.jitter_p)
    diffusion = Diffusion(inpaint, a.weight_power, a.time_power, a.vlb_weight)
    mask_all = a.mask_all if inpaint else 1.0
    clock = Clock(a.minutes, a.steps, team.meet)
    log, step, saved = [], done, 0.0
    for step, _ in enumerate(clock, done + 1):
        loss, numbers = diffusion.loss(unet, *data.batch(a.batch, mask_all))
        optimise(opt, loss, clock.lr(step - 1, a.lr, warmup=a.warmup, decay=a.decay))
        if a.rank > 0:
            continue
        ema.update(unet)
        log.append(numbers)
        if len(log) == 100:
            vlb, sums = np.mean([n[0] for n in log]), np.sum([n[1:] for n in log], 0).reshape(2, 5)
            print(f"{step} {clock.frac:.2f} mse {' '.join(f'{m:.4f}' for m in sums[0] / sums[1])} vlb {vlb:.4f} "
                  f"{clock.seconds / (step - done):.3f}s/step", flush=True)
            log.clear()
        if clock.seconds - saved > 60 * a.save_minutes:
            saved = clock.seconds
            checkpoint(step)
    if a.rank == 0:
        checkpoint(step)
        print(f"{step} steps", flush=True)
    team.leave()


if __name__ == "__main__":
    main()

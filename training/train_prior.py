"""Diffusion prior: PriorTransformer predicts the (element-wise normalised) CLIP image embedding, x0 objective."""
import torch
import torch.nn.functional as F
from diffusers import PriorTransformer, UnCLIPScheduler
from transformers import CLIPTokenizer

from common import (
    EMA,
    Clock,
    add_schedule_args,
    autocast,
    fast_cpu,
    load_captions,
    load_images,
    optimise,
    parse,
    parser,
    recall,
    save,
)
from train_clip import DIM, embed_images, load_text, load_vision, tokenise


def make_prior():
    prior = PriorTransformer(num_attention_heads=6, attention_head_dim=32, num_layers=6, embedding_dim=DIM,
                             num_embeddings=77, additional_embeddings=4)
    torch.nn.init.normal_(prior.positional_embedding, std=0.02)
    torch.nn.init.normal_(prior.prd_embedding, std=0.02)
    return prior


def make_scheduler():
    return UnCLIPScheduler(variance_type="fixed_small_log", prediction_type="sample", num_train_timesteps=1000,
                           clip_sample=True, clip_sample_range=5.0)


def short_forward(prior, x, t, proj, hidden, mask):
    """PriorTransformer.forward without the padding tokens (they are masked keys, so the result is the same).

    x [B,D], t [B], proj [B,D], hidden [B,L,D], mask [B,L] with L <= 77 -> [B,D]
    """
    n = hidden.shape[1]
    keep = list(range(n)) + [77, 78, 79, 80]
    seq = torch.cat([
        prior.encoder_hidden_states_proj(hidden), prior.embedding_proj(proj)[:, None],
        prior.time_embedding(prior.time_proj(t))[:, None], prior.proj_in(x)[:, None],
        prior.prd_embedding.expand(len(x), -1, -1)], 1) + prior.positional_embedding[:, keep]
    bias = F.pad((1 - mask.float()) * -10000.0, (0, 4))[:, None] + prior.causal_attention_mask[:, keep][:, :, keep]
    bias = bias.repeat_interleave(prior.config.num_attention_heads, 0)
    for block in prior.transformer_blocks:
        seq = block(seq, attention_mask=bias.to(seq.dtype))
    return prior.proj_to_clip_embeddings(prior.norm_out(seq[:, -1]))


@torch.no_grad()
def encode_text(text, tok, captions):
    """-> text embeddings [B,D], hidden states [B,L,D], mask [B,L]."""
    ids, mask = tokenise(tok, captions)
    out = text(ids)
    return out.text_embeds.float(), out.last_hidden_state.float(), mask


@torch.no_grad()
def sample(prior, text, tok, captions, steps=10, guidance=4.0):
    """The loop of KandinskyPriorPipeline on short sequences -> image embeddings [B,D].

    `guidance`: a number or a tensor [B,1].
    """
    sched = make_scheduler()
    sched.set_timesteps(steps)
    cond = encode_text(text, tok, [""] * len(captions) + captions)
    x = torch.randn(len(captions), DIM)
    for t, prev in zip(sched.timesteps, [*sched.timesteps[1:], None]):
        out = short_forward(prior, torch.cat([x, x]), t.expand(2 * len(x)), *cond)
        empty, full = out.float().chunk(2)
        x = sched.step(empty + guidance * (full - empty), timestep=t, sample=x, prev_timestep=prev).prev_sample
    return prior.post_process_latents(x)


def main():
    p = add_schedule_args(parser(__doc__), minutes=7, lr=8e-4)
    p.add_argument("--data", required=True, help="output of dataset.py")
    p.add_argument("--clip", required=True, help="output of train_clip.py")
    p.add_argument("--tokenizer", required=True, help="clip_tokenizer of train_tokenizers.py")
    p.add_argument("--out", required=True)
    p.add_argument("--batch", type=int, default=192)
    p.add_argument("--drop", type=float, default=0.15, help="share of empty captions (classifier-free guidance)")
    p.add_argument("--init", help="go on from the prior in this folder")
    a = parse(p, steps=5, batch=16)
    torch.manual_seed(2)
    fast_cpu()
    images, emoji, _ = load_images(f"{a.data}/square.npz")
    captions = load_captions(a.data)
    n = int(emoji.max()) + 1
    tok, text, vision = CLIPTokenizer.from_pretrained(a.tokenizer), load_text(a.clip), load_vision(a.clip)
    target = embed_images(vision, images)
    prior = PriorTransformer.from_pretrained(a.init) if a.init else make_prior()
    prior.clip_mean.data, prior.clip_std.data = target.mean(0, keepdim=True), target.std(0, keepdim=True)
    prior.clip_mean.requires_grad_(False), prior.clip_std.requires_grad_(False)
    x0_all = (target - prior.clip_mean) / prior.clip_std
    print(f"largest normalised value {x0_all.abs().max():.2f}, embedding std {target.std():.3f}", flush=True)
    sched, ema = make_scheduler(), EMA(prior, 0.995)
    params = [q for q in prior.parameters() if q.requires_grad]
    opt = torch.optim.AdamW(params, lr=a.lr, betas=(0.9, 0.98), weight_decay=0.02)
    clock = Clock(a.minutes, a.steps)
    for step in clock:
        idx = torch.randint(len(images), (a.batch,))
        texts = ["" if torch.rand(()) < a.drop else captions[i][torch.randint(2, ()).item()] for i in idx.tolist()]
        t = torch.randint(0, 1000, (a.batch,))
        x0 = x0_all[idx]
        xt = sched.add_noise(x0, torch.randn_like(x0), t)
        with autocast():
            pred = short_forward(prior, xt, t, *encode_text(text, tok, texts)).float()
        loss = F.mse_loss(pred, x0)
        optimise(opt, loss, clock.lr(step, a.lr))
        ema.update(prior)
        if step % 50 == 0:
            late = (pred - x0)[t > 700].pow(2).mean()
            print(f"{step} {clock.frac:.2f} mse {loss:.4f} (t>700: {late:.3f}) {clock.seconds:.0f}s", flush=True)
        if step % 300 == 299:
            save(a.out, ema.model)
    save(a.out, ema.model)
    pick = torch.randperm(n)[:256]
    for lang, name in enumerate(("en", "ru")):
        for g in (1.0, 2.0, 4.0):
            e = sample(ema.model, text, tok, [captions[i][lang] for i in pick.tolist()], 10, g)
            cosine = F.cosine_similarity(e, target[pick]).mean()
            ratio = (e.norm(dim=1) / target[pick].norm(dim=1)).mean()
            print(f"{name} guidance {g} R@1 {recall(e, target[:n], pick):.3f} cosine {cosine:.3f} "
                  f"norm ratio {ratio:.3f}")


if __name__ == "__main__":
    main()

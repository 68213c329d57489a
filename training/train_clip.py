"""CLIP text and image encoders: contrastive learning on (picture, English caption, Russian caption) triples.

Two auxiliary classifiers (which emoji, which background colour) with prototypes shared by both encoders speed up
the alignment; they are not saved. Positives are all pairs with the same emoji and the same colour.
"""
import torch
import torch.nn.functional as F
from transformers import (
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

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

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
DIM = 192
MAX_CAPTION = 40  # tokens; the longest caption is shorter


def pixels(x):
    """uint8 [B,3,64,64] -> what CLIPImageProcessor(size 64) gives."""
    return (x.float() / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def make_clip(tok):
    text = CLIPTextModelWithProjection(CLIPTextConfig(
        vocab_size=len(tok), hidden_size=DIM, intermediate_size=4 * DIM, num_hidden_layers=4, num_attention_heads=6,
        max_position_embeddings=77, projection_dim=DIM, hidden_act="quick_gelu",
        bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id))
    vision = CLIPVisionModelWithProjection(CLIPVisionConfig(
        hidden_size=DIM, intermediate_size=4 * DIM, num_hidden_layers=4, num_attention_heads=6,
        image_size=64, patch_size=8, projection_dim=DIM, hidden_act="quick_gelu"))
    return text, vision


def make_processor():
    return CLIPImageProcessor(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, do_center_crop=True, do_resize=True,
        do_normalize=True, do_rescale=True, do_convert_rgb=True, image_mean=MEAN, image_std=STD, resample=3)


def load_vision(folder):
    """fp32 image encoder of a CLIP folder (of this script or exported)."""
    return CLIPVisionModelWithProjection.from_pretrained(f"{folder}/image_encoder", dtype=torch.float32).eval()


def load_text(folder):
    """fp32 text encoder of a CLIP folder (of this script or exported)."""
    return CLIPTextModelWithProjection.from_pretrained(f"{folder}/text_encoder", dtype=torch.float32).eval()


def pad(rows, pad_id):
    """Lists of ids -> ids [B,L], mask [B,L], L the longest row."""
    n = max(map(len, rows))
    ids = torch.tensor([r + [pad_id] * (n - len(r)) for r in rows])
    return ids, torch.tensor([[1] * len(r) + [0] * (n - len(r)) for r in rows])


def tokenise(tok, texts):
    return pad(tok(texts, truncation=True, max_length=MAX_CAPTION).input_ids, tok.pad_token_id)


class Heads(torch.nn.Module):
    """Prototypes of the auxiliary classifiers and the temperature of the contrastive loss."""

    def __init__(self, emoji, colours):
        super().__init__()
        self.emoji = torch.nn.Parameter(F.normalize(torch.randn(emoji, DIM), dim=1))
        self.colour = torch.nn.Parameter(F.normalize(torch.randn(colours, DIM), dim=1))
        self.scale = torch.nn.Parameter(torch.tensor(2.6593))

    @torch.no_grad()
    def set_to_means(self, e, emoji, colour):
        """Prototypes from normalised image embeddings [M,D] and their labels (to go on from trained encoders)."""
        self.emoji.copy_(F.normalize(torch.zeros_like(self.emoji).index_add_(0, emoji, e), dim=1))
        rest = e - self.emoji[emoji]
        self.colour.copy_(F.normalize(torch.zeros_like(self.colour).index_add_(0, colour, rest), dim=1))
        self.scale.fill_(2.91)

    def aux(self, e, emoji, colour):
        return (F.cross_entropy(20 * e @ F.normalize(self.emoji, dim=1).T, emoji)
                + 0.5 * F.cross_entropy(20 * e @ F.normalize(self.colour, dim=1).T, colour))

    def nce(self, a, b, pos):
        s = self.scale.clamp(max=4.6).exp() * a @ b.T
        target = pos / pos.sum(1, keepdim=True)
        return -((target * s.log_softmax(1)).sum(1).mean() + (target.T * s.T.log_softmax(1)).sum(1).mean()) / 2


def batch_indices(n_emoji, variants, emojis, per=2):
    """Rows of the data set (tiled: row = variant * n_emoji + emoji): `emojis` different emoji, `per` variants each."""
    e = torch.randperm(n_emoji)[:emojis].repeat_interleave(per)
    return e + n_emoji * torch.randint(variants, (len(e),))


def same_label(emoji, colour):
    """[B,B], 1 where two rows have the same emoji and the same colour."""
    return ((emoji[:, None] == emoji) & (colour[:, None] == colour)).float()


@torch.no_grad()
def embed_images(vision, images, batch=256):
    """uint8 [M,3,64,64] -> image embeddings [M,D]."""
    with autocast():
        return torch.cat([vision(pixels(x)).image_embeds.float() for x in images.split(batch)])


@torch.no_grad()
def embed_texts(text, tok, captions, batch=512):
    """-> text embeddings [M,D]."""
    out = []
    for i in range(0, len(captions), batch):
        ids, _ = tokenise(tok, captions[i:i + batch])
        with autocast():
            out.append(text(ids).text_embeds.float())
    return torch.cat(out)


def main():
    p = add_schedule_args(parser(__doc__), minutes=15, lr=1e-3)
    p.add_argument("--data", required=True, help="output of dataset.py")
    p.add_argument("--tokenizer", required=True, help="clip_tokenizer of train_tokenizers.py")
    p.add_argument("--out", required=True)
    p.add_argument("--emojis", type=int, default=64, help="emoji per batch, two pictures each")
    p.add_argument("--init", help="go on from the encoders in this folder")
    a = parse(p, steps=5, emojis=8)
    torch.manual_seed(0)
    fast_cpu()
    images, emoji, colour = load_images(f"{a.data}/square.npz")
    captions = load_captions(a.data)
    n = int(emoji.max()) + 1
    tok = CLIPTokenizer.from_pretrained(a.tokenizer)
    text, vision = make_clip(tok)
    heads = Heads(n, int(colour.max()) + 1)
    if a.init:
        text, vision = load_text(a.init).train(), load_vision(a.init).train()
        heads.set_to_means(F.normalize(embed_images(vision, images), dim=1), emoji, colour)
    params = [q for m in (text, vision, heads) for q in m.parameters()]
    opt = torch.optim.AdamW(params, lr=a.lr, betas=(0.9, 0.98), weight_decay=0.02)
    ids = [tok([pair[lang] for pair in captions], truncation=True, max_length=MAX_CAPTION).input_ids for lang in (0, 1)]
    ema_text, ema_vision = EMA(text, 0.99), EMA(vision, 0.99)

    def checkpoint():
        save(f"{a.out}/text_encoder", ema_text.model)
        save(f"{a.out}/image_encoder", ema_vision.model)
        save(f"{a.out}/image_processor", make_processor())

    clock = Clock(a.minutes, a.steps)
    for step in clock:
        idx = batch_indices(n, len(images) // n, a.emojis)
        rows, _ = pad([ids[lang][i] for lang in (0, 1) for i in idx.tolist()], tok.pad_token_id)
        with autocast():
            i_emb = vision(pixels(images[idx])).image_embeds
            t_emb = text(rows).text_embeds
        i_emb = F.normalize(i_emb.float(), dim=1)
        en, ru = F.normalize(t_emb.float(), dim=1).chunk(2)
        e, c = emoji[idx], colour[idx]
        pos = same_label(e, c)
        nce = (heads.nce(i_emb, en, pos) + heads.nce(i_emb, ru, pos)) / 2
        aux = heads.aux(i_emb, e, c) + (heads.aux(en, e, c) + heads.aux(ru, e, c)) / 2
        optimise(opt, nce + 0.5 * aux, clock.lr(step, a.lr))
        ema_text.update(text)
        ema_vision.update(vision)
        if step % 50 == 0:
            acc = recall(i_emb, en, torch.arange(len(idx)))
            print(f"{step} {clock.frac:.2f} nce {nce:.3f} aux {aux:.3f} batch acc {acc:.2f} "
                  f"scale {heads.scale.exp():.1f} {clock.seconds:.0f}s", flush=True)
        if step % 300 == 299:
            checkpoint()
    checkpoint()
    # retrieval over one picture per emoji
    gallery, own = embed_images(ema_vision.model, images[:n]), torch.arange(n)
    for lang, name in enumerate(("en", "ru")):
        t = embed_texts(ema_text.model, tok, [pair[lang] for pair in captions[:n]])
        print(f"{name} text->image R@1 {recall(t, gallery, own):.3f} R@5 {recall(t, gallery, own, 5):.3f}")


if __name__ == "__main__":
    main()

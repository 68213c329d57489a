"""MultilingualCLIP (XLM-R + linear): distilled from the CLIP text embeddings and pulled to the image embeddings."""
import torch
import torch.nn.functional as F
from diffusers.pipelines.kandinsky.text_encoder import MCLIPConfig, MultilingualCLIP
from transformers import CLIPTokenizer, XLMRobertaTokenizer

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
from train_clip import (
    DIM,
    batch_indices,
    embed_images,
    embed_texts,
    load_text,
    load_vision,
    same_label,
    tokenise,
)


def make_mclip(tok):
    return MultilingualCLIP(MCLIPConfig(
        transformerDimensions=DIM, numDims=DIM, hidden_size=DIM, intermediate_size=4 * DIM, num_hidden_layers=4,
        num_attention_heads=6, vocab_size=len(tok), max_position_embeddings=96, type_vocab_size=1,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, layer_norm_eps=1e-5,
        bos_token_id=tok.bos_token_id, eos_token_id=tok.eos_token_id, pad_token_id=tok.pad_token_id))


@torch.no_grad()
def embed_multilingual(model, tok, captions):
    """-> pooled text embeddings [M,D]."""
    return model(*tokenise(tok, captions))[0].float()


def main():
    p = add_schedule_args(parser(__doc__), minutes=4, lr=1e-3)
    p.add_argument("--data", required=True, help="output of dataset.py")
    p.add_argument("--clip", required=True, help="output of train_clip.py")
    p.add_argument("--clip-tokenizer", required=True, help="clip_tokenizer of train_tokenizers.py")
    p.add_argument("--tokenizer", required=True, help="xlmr_tokenizer of train_tokenizers.py")
    p.add_argument("--out", required=True)
    p.add_argument("--emojis", type=int, default=64, help="emoji per batch, two pictures each")
    a = parse(p, steps=5, emojis=8)
    torch.manual_seed(1)
    fast_cpu()
    images, emoji, colour = load_images(f"{a.data}/square.npz")
    captions = load_captions(a.data)
    n = int(emoji.max()) + 1
    clip_tok, tok = CLIPTokenizer.from_pretrained(a.clip_tokenizer), XLMRobertaTokenizer.from_pretrained(a.tokenizer)
    text = load_text(a.clip)
    target = [embed_texts(text, clip_tok, [pair[lang] for pair in captions]) for lang in (0, 1)]
    picture = F.normalize(embed_images(load_vision(a.clip), images), dim=1)
    scale = 1 / target[0].std()
    print(f"CLIP text embedding std {1 / scale:.3f}", flush=True)

    model = make_mclip(tok)
    ema = EMA(model, 0.99)
    opt = torch.optim.AdamW(model.parameters(), lr=a.lr, betas=(0.9, 0.98), weight_decay=0.02)
    clock = Clock(a.minutes, a.steps)
    for step in clock:
        idx = batch_indices(n, len(images) // n, a.emojis)
        ids, mask = tokenise(tok, [captions[i][lang] for lang in (0, 1) for i in idx.tolist()])
        with autocast():
            y = model(ids, mask)[0].float()
        distil = F.mse_loss(y * scale, torch.cat([target[0][idx], target[1][idx]]) * scale)
        logits = 30 * F.normalize(y, dim=1) @ picture[idx].T
        same = same_label(emoji[idx], colour[idx])
        same = (same / same.sum(1, keepdim=True)).repeat(2, 1)
        nce = -(same * logits.log_softmax(1)).sum(1).mean()
        optimise(opt, distil + 0.3 * nce, clock.lr(step, a.lr))
        ema.update(model)
        if step % 50 == 0:
            print(f"{step} {clock.frac:.2f} distil {distil:.3f} nce {nce:.3f} {clock.seconds:.0f}s", flush=True)
    save(a.out, ema.model)
    for lang, name in enumerate(("en", "ru")):
        y = embed_multilingual(ema.model, tok, [pair[lang] for pair in captions[:n]])
        print(f"{name} mCLIP text->image R@1 {recall(y, picture[:n], torch.arange(n)):.3f}")


if __name__ == "__main__":
    main()

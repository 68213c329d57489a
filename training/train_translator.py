"""Tiny Russian to English Marian of the captions, in the published layout of Helsinki-NLP's opus-mt models.

It knows the names of dataset.py's emoji and their backgrounds, and little else: it shows translation at work without a
download. English stays English. Upper case and `ё` are read as lower case and `е`.
"""
import copy
import json
import math
import random
import shutil
import tempfile
import time
from pathlib import Path

import sentencepiece
import torch
import torch.nn.functional as F
from transformers import GenerationConfig, MarianConfig, MarianMTModel, MarianTokenizer

from common import EMA, Clock, add_schedule_args, load_items, optimise, parse, parser
from dataset import COLOURS, background_phrase

WIDTH, HIDDEN, LAYERS, HEADS = 96, 192, 1, 4
LONGEST = 48
# how people ask for things that have another name in the data
MORE = {
    "улыбающееся лицо": "smiling face", "лицо": "face", "животное": "animal", "цветок": "flower", "мяч": "ball",
    "дерево": "tree", "птица": "bird", "рыба": "fish", "море": "sea", "город": "city", "красная машина": "red car",
    "жёлтый цветок": "yellow flower", "синее сердце": "blue heart", "чёрная кошка": "black cat",
}


def translations(items):
    """-> {Russian name: its English translation}, one for each, the first that the data has."""
    known = dict(MORE)
    for item in items:
        for k, russian in enumerate(item["ru"]):
            known.setdefault(russian.lower(), item["en"][min(k, len(item["en"]) - 1)])
    return known


def pair(names, rng, english=0.1):
    """-> a random (source, target)."""
    russian, translation = rng.choice(names)
    colour = rng.randrange(len(COLOURS)) if rng.random() < 0.85 else None
    target = translation if colour is None else background_phrase(translation, colour, "en")
    if rng.random() < english:
        return target, target
    return (russian if colour is None else background_phrase(russian, colour, "ru")), target


def lower_case_rules():
    """-> sentencepiece's rules of normalisation: lower case, no `ё`, plain spaces."""
    letters = [*range(0x41, 0x5b), *range(0x410, 0x430)]
    rules = [f"{c:X}\t{ord(chr(c).lower()):X}" for c in letters]
    return "\n".join([*rules, "401\t435", "451\t435", "A0\t20", "9\t20", "A\t20"]) + "\n"


def train_pieces(texts, size, folder, name):
    """Write `name`.spm, a unigram model of about `size` pieces."""
    with tempfile.TemporaryDirectory() as tmp:
        Path(tmp, "rules.tsv").write_text(lower_case_rules())
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(texts), model_prefix=f"{tmp}/m", vocab_size=size, character_coverage=1.0,
            normalization_rule_tsv=f"{tmp}/rules.tsv", hard_vocab_limit=False, bos_id=-1, eos_id=1, unk_id=0,
            num_threads=1, minloglevel=2)
        shutil.copy(f"{tmp}/m.model", Path(folder, f"{name}.spm"))
    return sentencepiece.SentencePieceProcessor(model_file=str(Path(folder, f"{name}.spm")))


def make_tokenizer(texts, size, folder):
    """Write the tokenizer's files from [source, target] pairs of texts."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    models = [train_pieces([t[k] for t in texts], size[k], folder, name) for k, name in enumerate(["source", "target"])]
    pieces = dict.fromkeys(["</s>", "<unk>"])
    for model in models:
        pieces |= dict.fromkeys(model.id_to_piece(i) for i in range(model.get_piece_size()))
    vocab = {piece: i for i, piece in enumerate([*pieces, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    config = {"source_lang": "ru", "target_lang": "en", "model_max_length": 512, "separate_vocabs": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return vocab, models


def make_config(vocab, width, hidden, layers, heads, beams):
    """-> the configurations of network and search, as published ones have them."""
    pad, ends = vocab["<pad>"], vocab["</s>"]
    config = MarianConfig(
        vocab_size=len(vocab), decoder_vocab_size=len(vocab), d_model=width, encoder_layers=layers, decoder_layers=layers,
        encoder_attention_heads=heads, decoder_attention_heads=heads, encoder_ffn_dim=hidden, decoder_ffn_dim=hidden,
        max_position_embeddings=512, activation_function="swish", scale_embedding=True, pad_token_id=pad,
        eos_token_id=ends, bos_token_id=ends, decoder_start_token_id=pad, forced_eos_token_id=ends, dropout=0.0,
        attention_dropout=0.0, activation_dropout=0.0, init_std=0.02)
    search = GenerationConfig(
        num_beams=beams, max_length=512, bad_words_ids=[[pad]], pad_token_id=pad, eos_token_id=ends, bos_token_id=ends,
        decoder_start_token_id=pad, forced_eos_token_id=ends, renormalize_logits=True)
    return config, search


def batch(texts, encode, pad, ends):
    """-> source ids, their mask, decoder input, labels (-100 where there is none)."""
    sources = [encode[0](a) + [ends] for a, _ in texts]
    targets = [encode[1](b) + [ends] for _, b in texts]

    def padded(lists, value):
        n = max(map(len, lists))
        return torch.tensor([x + [value] * (n - len(x)) for x in lists])

    source = padded(sources, pad)
    return source, (source != pad).long(), padded([[pad, *t[:-1]] for t in targets], pad), padded(targets, -100)


@torch.no_grad()
def exact(model, tokenizer, texts):
    """-> share of texts whose translation is the right one, and some of the wrong ones."""
    model.eval()
    wrong = []
    for source, target in texts:
        ids = model.generate(**tokenizer([source], return_tensors="pt"), max_length=LONGEST)
        got = tokenizer.decode(ids[0], skip_special_tokens=True)
        if got != target:
            wrong.append((source, target, got))
    model.train()
    return 1 - len(wrong) / len(texts), wrong[:8]


def main():
    p = add_schedule_args(parser(__doc__), minutes=15, lr=3e-3)
    p.add_argument("--data", required=True, help="output of dataset.py (items.json alone is read)")
    p.add_argument("--out", required=True, help="folder of the model")
    p.add_argument("--init", help="go on from this model, of the same names")
    p.add_argument("--words", type=int, default=9, help="leave out names of more words")
    p.add_argument("--save-every", type=int, default=100, help="steps")
    p.add_argument("--evaluate", type=int, default=400, help="texts that are translated at the end")
    p.add_argument("--batch", type=int, default=64)
    a = parse(p, steps=5, evaluate=20)
    torch.manual_seed(1)
    rng = random.Random(1)
    names = list(translations(load_items(a.data)).items())
    names = [name for name in names if max(len(text.split()) for text in name) <= a.words]
    print(len(names), "names", flush=True)
    every = [(background_phrase(ru, c, "ru"), background_phrase(en, c, "en")) for ru, en in names
             for c in (0, 1, 3, 6)] + names
    out = Path(a.out)
    # the target's pieces are also the source's: English stays English
    vocab, spm = make_tokenizer([*every, *[(en, en) for _, en in every[::2]]], (1600, 1200), out)
    config, search = make_config(vocab, WIDTH, HIDDEN, LAYERS, HEADS, beams=4)
    pad, ends = config.pad_token_id, config.eos_token_id
    unknown = vocab["<unk>"]
    encode = [lambda text, m=m: [vocab.get(x, unknown) for x in m.encode(text, out_type=str)] for m in spm]
    model = MarianMTModel(config)
    print(len(vocab), "pieces,", sum(x.numel() for x in model.parameters()), "parameters", flush=True)
    if a.init:
        model = MarianMTModel.from_pretrained(a.init).float().train()
    ema = EMA(model, 0.995)
    opt = torch.optim.AdamW(model.parameters(), lr=a.lr, betas=(0.9, 0.98), weight_decay=0.01)
    clock = Clock(a.minutes, a.steps)
    for step in clock:
        source, mask, target, labels = batch([pair(names, rng) for _ in range(a.batch)], encode, pad, ends)
        logits = model(input_ids=source, attention_mask=mask, decoder_input_ids=target).logits
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
        optimise(opt, loss, clock.lr(step, a.lr, warmup=100))
        ema.update(model)
        if step % a.save_every == a.save_every - 1:
            copy.deepcopy(ema.model).half().save_pretrained(out)
            search.save_pretrained(out)
        if step % 50 == 0:
            print(f"{step} {clock.frac:.2f} loss {loss:.4f} {math.ceil(time.process_time())}s of CPU", flush=True)
    ema.model.half().save_pretrained(out)
    search.save_pretrained(out)
    model = MarianMTModel.from_pretrained(out).float()  # what the file has
    model.generation_config = search
    tokenizer = MarianTokenizer.from_pretrained(out)
    probe = random.Random(2)
    for english, what in ((0.0, "Russian"), (1.0, "English")) if a.evaluate else ():
        share, wrong = exact(model, tokenizer, [pair(names, probe, english) for _ in range(a.evaluate)])
        print(f"{what}: {share:.3f} exact; not: {wrong}", flush=True)


if __name__ == "__main__":
    main()

"""Fixtures of tests/integration/marian: what transformers makes of texts with a small random Marian.

The files are those of a published opus-mt model: weights as PyTorch .bin, two sentencepiece models of the captions with the
normalisation that opus-mt has (nmt_nfkc), one vocabulary. `expected.json` has token ids, states of the encoder, and the texts of
greedy and beam search; `ids.json` has the token ids of texts of all scripts.

    python make_marian_fixture.py --data DATA --out ../tests/fixtures/marian
"""
import json
import random
import shutil
from pathlib import Path

import sentencepiece
import torch
from transformers import MarianMTModel, MarianTokenizer

from common import load_items, parse, parser
from train_translator import background_phrase, make_config, translations

WIDTH, HIDDEN, LAYERS, HEADS, BEAMS, LONGEST = 32, 48, 2, 4, 6, 24
TEXTS = [
    "красное сердце на синем фоне",
    "Кошка на жёлтом фоне",
    "  два   пробела\tи\nстрока ",
    "ёлка, ЁЛКА; 3D-рендер №5 — «кавычки»…",
    "e\u0301 и\u0306 ｆｕｌｌ ﬁ ½ Ⅳ",
    "\u00a0 неразрывный\u00a0пробел и\u200bневидимый",
    "смайлик 😀 и 漢字 подряд",
    "漢字",
    "red heart",
    "панда",
    "улыбающееся лицо на зелёном фоне, вид сверху, очень подробно",
    "",
]

# What normalization does to scripts, emoji, marks and characters that nobody sees. Texts that spell out special tokens are not
# among them: the server takes them for texts.
HARD = [
    "👨‍👩‍👧‍👦 семья", "флаг 🇷🇺🇺🇦", "❤️ сердце ❤︎", "مرحبا بالعالم", "שלום עולם красное", "ﷺ ﷲ ﻻ", "한국어 각각 ㄱ",
    "\u1100\u1161\u11a8", "ｶﾀｶﾅ ガ ぱ", "Ａｂｃ１２３", "① ② Ⅷ ㍿ ㎏ ™ ℃", "a\u0300\u0301\u0302", "и\u0306ё\u0308",
    "\u202eкрасное\u202c сердце", "\ufeffкрасное", "крас\u00adное", "крас\u200dное\u200cсердце", "x\u0000y",
    "\u0001\u0002тест\u007f", "\r\n\tкот\r", "▁кот▁на▁фоне", "   ", "\u3000кот\u3000", "\u2028строка\u2029",
    "кот..... ??? !!!", "—–-‐‑―", "«“„‘’”»\"'", "1/2 ½ ⅓ 10²", "С♯ C++ C# .NET", "3D 3d 3Д", "ё" * 300,
    "красное сердце на синем фоне " * 60, "\U0001f600\U0001f64f\U0001fae0", "𝔎𝔬𝔱 𝕜𝕠𝕥 𝐤𝐨𝐭", "Ω \u2126 K \u212a Å \u212b",
    "ﬀ ﬁ ﬂ ﬃ ﬄ ﬅ", "ŀ Ŀ ŉ ǆ", "\ue000", "\U0010ffff", "～〜~", "…‥．", "（красное）［сердце］", "ำ กำ", "নমস্তে नमस्ते क्‍ष",
]


def train_pieces(texts, size, path, symbols, rules):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(path), vocab_size=size, character_coverage=0.9995,
        user_defined_symbols=symbols, normalization_rule_name=rules, hard_vocab_limit=False, bos_id=-1, eos_id=1, unk_id=0, num_threads=1, minloglevel=2)
    shutil.move(f"{path}.model", path.with_suffix(".spm"))
    Path(f"{path}.vocab").unlink()


def main():
    p = parser(__doc__)
    p.add_argument("--data", required=True, help="output of dataset.py (items.json alone is read)")
    p.add_argument("--out", required=True)
    a = parse(p)
    torch.manual_seed(3)
    out = Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    rng = random.Random(3)
    names = list(translations(load_items(a.data)).items())
    pairs = [(background_phrase(ru, c, "ru"), background_phrase(en, c, "en")) for ru, en in names
             for c in rng.sample(range(11), 3)]
    train_pieces([ru for ru, _ in pairs] + TEXTS[:2] * 20, 400, out / "source", ["3D"], "nmt_nfkc")
    train_pieces([en for _, en in pairs], 300, out / "target", [], "identity")
    models = [sentencepiece.SentencePieceProcessor(model_file=str(out / f"{n}.spm")) for n in ("source", "target")]
    pieces = dict.fromkeys(["</s>", "<unk>"])
    for model in models:
        pieces |= dict.fromkeys(model.id_to_piece(i) for i in range(model.get_piece_size()))
    # as in published models, some pieces of the source have no number
    dropped = [x for x in pieces if len(x) > 5][::7]
    vocab = {piece: i for i, piece in enumerate([x for x in pieces if x not in dropped] + ["<pad>"])}
    (out / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (out / "tokenizer_config.json").write_text(json.dumps(
        {"source_lang": "ru", "target_lang": "en", "model_max_length": 512}))
    config, search = make_config(vocab, WIDTH, HIDDEN, LAYERS, HEADS, BEAMS)
    config.max_position_embeddings = 64
    search.max_length = LONGEST
    model = MarianMTModel(config).eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "embed_positions" not in name and "norm" not in name:
                # layers outweigh what they are added to, so that texts do not repeat one word
                value.copy_(torch.randn_like(value) * (0.25 if "shared" in name else 0.6 if value.dim() > 1 else 0.3))
        # the end is likely enough to come at different lengths
        model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias))
        model.final_logits_bias[0, config.eos_token_id] += 3
    config.save_pretrained(out)
    search.save_pretrained(out)
    torch.save(model.state_dict(), out / "pytorch_model.bin")
    tokenizer = MarianTokenizer.from_pretrained(out)
    model = MarianMTModel.from_pretrained(out).eval()
    cases = []
    with torch.no_grad():
        for text in TEXTS:
            inputs = tokenizer([text], return_tensors="pt")
            states = model.get_encoder()(**inputs).last_hidden_state[0]
            case = {"text": text, "ids": inputs.input_ids[0].tolist(), "states": [float(f"{x:.6g}") for x in states.flatten().tolist()]}
            for name, options in {
                "greedy": {"num_beams": 1}, "beam": {}, "beam_3_penalty": {"num_beams": 3, "length_penalty": 0.6},
                "beam_early": {"num_beams": 4, "early_stopping": True},
                "beam_never": {"num_beams": 4, "early_stopping": "never", "length_penalty": 1.5},
            }.items():
                ids = model.generate(**inputs, **options)[0]
                case[name] = {"ids": ids.tolist(), "text": tokenizer.decode(ids, skip_special_tokens=True)}
            cases.append(case)
            print(text, case["ids"], [case[k]["text"] for k in ("greedy", "beam", "beam_early", "beam_never")])
    numbered = [{"text": text, "ids": tokenizer(text).input_ids} for text in HARD]
    (out / "ids.json").write_text(json.dumps(numbered, ensure_ascii=False, separators=(",", ":")) + "\n")
    (out / "expected.json").write_text(json.dumps(cases, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

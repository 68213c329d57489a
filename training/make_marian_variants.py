"""Fixtures of tests/integration/marian: what transformers makes of texts with small random Marians of other shapes than opus-mt-ru-en.

    separate    a vocabulary and a table for each language, the target's smaller; relu; embeddings not scaled; nothing normalised
    untied      the same, and a table of its own for the scores; spaces kept, none put before a text
    several     target languages chosen by >>xx<<, one table but for the scores; gelu; words of several tokens banned; no forced end

Each folder has the files of a checkpoint and `expected.json` as `make_marian_fixture.py` writes it.

    python make_marian_variants.py --data DATA --out ../tests/fixtures/marian-variants
"""
import json
import random
import shutil
from pathlib import Path

import sentencepiece
import torch
from transformers import GenerationConfig, MarianConfig, MarianMTModel, MarianTokenizer

from common import load_items, parse, parser
from train_translator import background_phrase, translations

WIDTH, HIDDEN, HEADS, LONGEST = 16, 24, 2, 16
TEXTS = ["красное сердце на синем фоне", "  два   пробела ", "Кошка, ёлка №5", "漢字 и 😀", "red heart", "панда", ""]
LANGUAGES = [">>eng<<", ">>deu<<", ">>bel<<"]
SEARCHES = {"greedy": {"num_beams": 1}, "beam": {}, "beam_penalty": {"num_beams": 3, "length_penalty": 0.6}}


def train_pieces(texts, size, path, rules, options):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=str(path), vocab_size=size, character_coverage=0.999,
        normalization_rule_name=rules, hard_vocab_limit=False, bos_id=-1, eos_id=1, unk_id=0, num_threads=1, minloglevel=2, **options)
    shutil.move(f"{path}.model", path.with_suffix(".spm"))
    Path(f"{path}.vocab").unlink()
    model = sentencepiece.SentencePieceProcessor(model_file=str(path.with_suffix(".spm")))
    return [model.id_to_piece(i) for i in range(model.get_piece_size())]


def number(pieces):
    """-> vocabulary of these pieces, as published ones have it."""
    return {x: i for i, x in enumerate([*dict.fromkeys(["</s>", "<unk>", *pieces]), "<pad>"])}


def write_tokenizer(out, pairs, separate, languages, options):
    """-> source and target vocabulary"""
    source = train_pieces([ru for ru, _ in pairs], 150, out / "source", "identity", options)
    target = train_pieces([en for _, en in pairs], 90, out / "target", "identity", options)
    vocab = number([*languages, *source] if separate else [*languages, *source, *target])
    (out / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    written = number(target) if separate else vocab
    if separate:
        (out / "target_vocab.json").write_text(json.dumps(written, ensure_ascii=False))
    config = {"source_lang": "ru", "target_lang": "en", "separate_vocabs": separate}
    (out / "tokenizer_config.json").write_text(json.dumps(config))
    return vocab, written


@torch.no_grad()
def write_variant(out, pairs, *, separate=False, languages=(), options=None, ban=False, loudness=0.3, end_bias=3.0, **shape):
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    vocab, written = write_tokenizer(out, pairs, separate, languages, options or {})
    pad, end = written["<pad>"], written["</s>"]
    config = MarianConfig(
        vocab_size=len(vocab), decoder_vocab_size=len(written), d_model=WIDTH, encoder_layers=2, decoder_layers=1,
        encoder_attention_heads=HEADS, decoder_attention_heads=HEADS, encoder_ffn_dim=HIDDEN, decoder_ffn_dim=HIDDEN,
        max_position_embeddings=64, pad_token_id=pad, eos_token_id=end, bos_token_id=end, decoder_start_token_id=pad,
        **shape)
    model = MarianMTModel(config).eval()
    for name, value in model.named_parameters():
        if "embed_positions" not in name and "norm" not in name:
            table = any(x in name for x in ("shared", "embed_tokens"))
            # layers outweigh what they are added to, so that texts do not repeat one word
            value.copy_(torch.randn_like(value) * (loudness if table else 1.2 if value.dim() > 1 else 0.5))
    model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias) * 0.3)
    # the end is likely enough to come at different lengths
    model.final_logits_bias[0, end] += end_bias
    ids = {"pad_token_id": pad, "eos_token_id": end, "bos_token_id": end, "decoder_start_token_id": pad}
    usual = {"bad_words_ids": [[pad]], "forced_eos_token_id": end}
    model.generation_config = GenerationConfig(max_length=LONGEST, num_beams=4, **ids, **usual)
    model.save_pretrained(out)
    tokenizer = MarianTokenizer.from_pretrained(out)
    if ban:
        found = [model.generate(**tokenizer([f"{languages[0]} {text}"], return_tensors="pt"))[0].tolist() for text in TEXTS[:4]]
        # a word of the start and another, of two words, of three; the end, which cannot be banned
        words = [[pad], [end], found[0][:2], found[1][3:5], found[2][2:4], found[3][2:5]]
        model.generation_config = GenerationConfig(
            max_length=LONGEST, num_beams=4, bad_words_ids=words, renormalize_logits=True, **ids)
        model.save_pretrained(out)
    model = MarianMTModel.from_pretrained(out).eval()
    cases = []
    for text in TEXTS:
        inputs = tokenizer([f"{languages[0]} {text}" if languages else text], return_tensors="pt")
        states = model.get_encoder()(**inputs).last_hidden_state[0]
        case = {"text": text, "ids": inputs.input_ids[0].tolist(),
                "states": [float(f"{x:.6g}") for x in states.flatten().tolist()]}
        for name, asked in SEARCHES.items():
            ids = model.generate(**inputs, **asked)[0]
            # the tokenizer knows the special ones of the source alone
            tokens = [x for x in tokenizer.convert_ids_to_tokens(ids) if x not in ("<pad>", "</s>", "<unk>")]
            case[name] = {"ids": ids.tolist(), "text": tokenizer.convert_tokens_to_string(tokens)}
        cases.append(case)
        print(out.name, repr(text), case["ids"], [case[name]["text"] for name in SEARCHES])
    (out / "expected.json").write_text(json.dumps(cases, ensure_ascii=False, separators=(",", ":")) + "\n")
    for name in ("special_tokens_map.json", "added_tokens.json", "README.md"):
        (out / name).unlink(missing_ok=True)


def main():
    p = parser(__doc__)
    p.add_argument("--data", required=True, help="output of dataset.py (items.json alone is read)")
    p.add_argument("--out", required=True)
    a = parse(p)
    torch.manual_seed(5)
    rng = random.Random(5)
    names = list(translations(load_items(a.data)).items())
    pairs = [(background_phrase(ru, c, "ru"), background_phrase(en, c, "en")) for ru, en in names
             for c in rng.sample(range(11), 2)]
    out = Path(a.out)
    apart = {"share_encoder_decoder_embeddings": False}
    write_variant(out / "separate", pairs, separate=True, activation_function="relu", scale_embedding=False, loudness=0.4, end_bias=1.5, **apart)
    write_variant(out / "untied", pairs, separate=True, activation_function="swish", scale_embedding=True, tie_word_embeddings=False,
                  options={"add_dummy_prefix": False, "remove_extra_whitespaces": False}, loudness=0.15, end_bias=1.5, **apart)
    write_variant(out / "several", pairs, languages=LANGUAGES, activation_function="gelu", scale_embedding=True,
                  tie_word_embeddings=False, ban=True)


if __name__ == "__main__":
    main()

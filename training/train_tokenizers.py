"""Tokenizers: CLIP byte-level BPE (with </w>) and XLM-R Unigram, both trained on the English and Russian captions."""
import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer, XLMRobertaTokenizer

from common import load_captions, load_items, parse, parser

CLIP_SPLIT = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
SPECIAL_TOKENS = "special_tokens_map.json"  # older readers expect it; transformers 5 does not write it


def corpus(data):
    texts = [c for pair in load_captions(data) for c in pair]
    for it in load_items(data):
        texts += it["en"] + it["ru"] + it["en_tags"] + it["ru_tags"]
    return texts


def train_clip(texts, size, out):
    """Write a CLIP tokenizer of at most `size` tokens, with vocab.json and merges.txt."""
    tok = Tokenizer(models.BPE(end_of_word_suffix="</w>", continuing_subword_prefix=""))
    tok.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CLIP_SPLIT), behavior="removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size - 2 - 256, initial_alphabet=alphabet, end_of_word_suffix="</w>", show_progress=False))
    merges = [tuple(m) for m in json.loads(tok.to_str())["model"]["merges"]]
    # OpenAI's order: bytes, bytes with </w>, merges, <|startoftext|>, <|endoftext|> (the largest id)
    words = dict.fromkeys(alphabet + [c + "</w>" for c in alphabet] + [x + y for x, y in merges])
    end = "<|endoftext|>"
    vocab = {w: i for i, w in enumerate([*words, "<|startoftext|>", end])}
    clip = CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)
    clip.save_pretrained(out)
    Path(out, "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    Path(out, "merges.txt").write_text("#version: 0.2\n" + "".join(f"{x} {y}\n" for x, y in merges))
    Path(out, SPECIAL_TOKENS).write_text(json.dumps(
        {"bos_token": "<|startoftext|>", "eos_token": end, "pad_token": end, "unk_token": end}, indent=2))
    return clip


def train_xlmr(texts, size, out):
    """Write an XLM-R tokenizer of about `size` tokens (tokenizer.json only, no sentencepiece model)."""
    tok = Tokenizer(models.Unigram())
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")])
    letters = [chr(c) for c in range(33, 127)] + [chr(c) for c in range(0x410, 0x450)] + list("Ёё«»’–—")
    tok.train_from_iterator(texts, trainers.UnigramTrainer(
        vocab_size=size - 5, initial_alphabet=letters, unk_token="<unk>", special_tokens=["<unk>"],
        show_progress=False))
    pieces = [(w, s) for w, s in json.loads(tok.to_str())["model"]["vocab"] if w != "<unk>"]
    have = {w for w, _ in pieces}
    worst = min(s for _, s in pieces) - 1
    pieces += [(c, worst) for c in [*letters, "▁"] if c not in have]
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces, ("<mask>", 0.0)]
    xlmr = XLMRobertaTokenizer(vocab=vocab, model_max_length=77)
    xlmr.save_pretrained(out)
    Path(out, SPECIAL_TOKENS).write_text(json.dumps(
        {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "mask_token": "<mask>", "pad_token": "<pad>",
         "sep_token": "</s>", "unk_token": "<unk>"}, indent=2))
    return xlmr


def main():
    p = parser(__doc__)
    p.add_argument("--data", required=True, help="output of dataset.py")
    p.add_argument("--out", required=True, help="folder; gets clip_tokenizer/ and xlmr_tokenizer/")
    p.add_argument("--vocab", type=int, default=4096)
    a = parse(p, vocab=1024)
    texts = corpus(a.data)
    clip = train_clip(texts, a.vocab, f"{a.out}/clip_tokenizer")
    xlmr = train_xlmr(texts, a.vocab, f"{a.out}/xlmr_tokenizer")
    for made, saved in ((clip, CLIPTokenizer.from_pretrained(f"{a.out}/clip_tokenizer")),
                        (xlmr, XLMRobertaTokenizer.from_pretrained(f"{a.out}/xlmr_tokenizer"))):
        for text in ("red heart on a blue background", "Кошка на жёлтом фоне", "pizza!", ""):
            ids = made(text).input_ids
            assert ids == saved(text).input_ids, text
            print(made.convert_ids_to_tokens(ids))
    print(len(clip), len(xlmr), clip.eos_token_id, xlmr.mask_token_id)


if __name__ == "__main__":
    main()

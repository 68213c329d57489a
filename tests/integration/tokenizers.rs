//! Tokenizers in the older of their two forms.

use kandinsky::families::kandinsky21::tokenizer::Tokenizer;
use kandinsky::tensor::files::Folder;

use crate::embedded::root;

/// Texts of all sorts: what a normalizer changes, what a vocabulary lacks, what is special.
fn texts() -> Vec<String> {
    let written = [
        "",
        " ",
        "red heart on a blue background",
        "  Красное   сердце, 3 шт. ",
        "a\nb\tc\u{a0}d\u{3000}e",
        "ﬁne ½ Å ℃ ①",
        "ｆｕｌｌ ｗｉｄｔｈ",
        "一只猫 在 树上",
        "ภาษาไทย",
        "مرحبا بالعالم",
        "👨\u{200d}👩\u{200d}👧 ❤\u{fe0f}",
        "x</s>y <s> <pad> <unk> <mask> z",
        "  <mask>  a",
        "▁under▁score",
        "й и\u{306} e\u{301}",
        "\u{feff}bom\u{200b}zero",
        "AbC dEf",
        "C++ & <b>html</b> \"quotes\" 'n' “curly”",
        "1,234.56€ — 10%",
        "🦊🦊🦊🦊🦊🦊",
        "supercalifragilisticexpialidocious",
    ];
    let mut texts: Vec<String> = written.map(str::to_owned).into();
    // And a thousand that nobody would write.
    let alphabet: Vec<char> = "abcе жц,.!?  \u{a0}\u{200b}ａ½▁<s>猫あ한🦊\u{301}É0129'\"-_/".chars().collect();
    let mut state = 7_u64;
    for length in 0..1000 {
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        texts.push((0..length % 60).map(|_| alphabet[draw() % alphabet.len()]).collect());
    }
    texts
}

#[test]
fn a_sentencepiece_model_gives_the_ids_of_its_tokenizer_json() {
    let from = root().join("tests/parity/a/models/kandinsky-2-1/tokenizer");
    let older = tempfile::tempdir().unwrap();
    for file in ["sentencepiece.bpe.model", "tokenizer_config.json"] {
        std::fs::copy(from.join(file), older.path().join(file)).unwrap();
    }
    let load = |path: &std::path::Path| Tokenizer::xlm_roberta(&Folder::Disk(path.to_owned())).unwrap();
    let (want, got) = (load(&from), load(older.path()));
    for text in texts() {
        assert_eq!(got.ids(&text).unwrap(), want.ids(&text).unwrap(), "{text:?}");
        assert_eq!(got.encode(&text).unwrap(), want.encode(&text).unwrap(), "{text:?}");
    }
}

#[test]
fn a_damaged_sentencepiece_model_is_named() {
    let from = root().join("tests/parity/a/models/kandinsky-2-1/tokenizer");
    let whole = std::fs::read(from.join("sentencepiece.bpe.model")).unwrap();
    for contents in [&whole[..whole.len() / 2], &whole[..1], b"", b"\n\x05\n\x03abc"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("sentencepiece.bpe.model"), contents).unwrap();
        let error = Tokenizer::xlm_roberta(&Folder::Disk(folder.path().to_owned())).err().expect("an error");
        assert!(error.to_string().contains("sentencepiece.bpe.model: it "), "{error}");
    }
}

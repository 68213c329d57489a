//! Marian models against transformers, which made `tests/fixtures/marian` (`training/make_marian_fixture.py`): a random network in the
//! files of a published one, with sentencepiece models of the captions.

use std::path::PathBuf;

use candle_core::{DType, Device};
use kandinsky::tensor::files::Folder;
use kandinsky::tensor::{Compute, to_vec};
use kandinsky::translation::marian::{EarlyStopping, MarianModel, Scorer, Search};
use serde::Deserialize;

/// Relative L2 error of the states of the encoder.
const LIMIT: f32 = 1e-5;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    states: Vec<f32>,
    greedy: Found,
    beam: Found,
    beam_3_penalty: Found,
    beam_early: Found,
    beam_never: Found,
}

#[derive(Deserialize)]
struct Found {
    /// With start, end and padding.
    ids: Vec<u32>,
    text: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/marian")
}

fn cases() -> Vec<Case> {
    serde_json::from_slice(&std::fs::read(folder().join("expected.json")).unwrap()).unwrap()
}

fn model(compute: &Compute) -> MarianModel {
    MarianModel::load(&Folder::Disk(folder()), compute).unwrap()
}

#[test]
fn texts_have_the_references_ids() {
    let model = model(&Compute::cpu());
    for case in cases() {
        assert_eq!(model.vocabulary().encode(&case.text), case.ids, "{:?}", case.text);
    }
}

#[test]
fn states_and_translations_are_the_references() {
    for compute in [Compute::cpu(), Compute::candle(Device::Cpu, DType::F32).unwrap()] {
        let model = model(&compute);
        for case in cases() {
            let states = to_vec(&model.network().encode(&case.ids).unwrap()).unwrap();
            assert_eq!(states.len(), case.states.len());
            let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
            let apart = norm(&mut states.iter().zip(&case.states).map(|(a, b)| a - b));
            let apart = apart / norm(&mut case.states.iter().copied());
            assert!(apart < LIMIT, "{:?} {compute:?}: {apart:e}", case.text);
            let usual = model.search().clone();
            assert_eq!((usual.beams, usual.max_length), (6, 24), "as generation_config.json says");
            let with = |beams, length_penalty, early_stopping| Search {
                beams,
                length_penalty,
                early_stopping,
                ..usual.clone()
            };
            for (name, search, want) in [
                ("greedy", with(1, 1.0, EarlyStopping::No), &case.greedy),
                ("beam", usual.clone(), &case.beam),
                ("beam_3_penalty", with(3, 0.6, EarlyStopping::No), &case.beam_3_penalty),
                ("beam_early", with(4, 1.0, EarlyStopping::Yes), &case.beam_early),
                ("beam_never", with(4, 1.5, EarlyStopping::Never), &case.beam_never),
            ] {
                let found = model.find(&case.ids, &search, &|| false).unwrap().unwrap();
                let special = [search.start, search.end];
                let wanted: Vec<u32> = want.ids.iter().copied().filter(|id| !special.contains(id)).collect();
                assert_eq!(found, wanted, "{name} of {:?}, {compute:?}", case.text);
                assert_eq!(model.vocabulary().decode(&found), want.text, "{name} of {:?}", case.text);
            }
        }
    }
}

#[test]
fn a_text_is_translated_alike_whatever_came_before_it() {
    let model = model(&Compute::cpu());
    let translate = |text: &str| model.translate(text, &|| false).unwrap().unwrap();
    let first = translate("красное сердце на синем фоне.");
    let other = translate("панда");
    assert_ne!(first, other);
    assert_eq!(translate("красное сердце на синем фоне."), first);
    // Sentence by sentence, however many there are: far more tokens than the model has positions.
    let long = "красное сердце на синем фоне. ".repeat(20);
    assert_eq!(translate(&long), [first.as_str(); 20].join(" "));
}

/// Of four words, the padding (3) is always the most probable one, then word 1, twice, then the end (0).
struct PaddingFirst {
    steps: usize,
}

impl Scorer for PaddingFirst {
    fn step(&mut self, tokens: &[u32]) -> kandinsky::tensor::Result<Vec<f32>> {
        self.steps += 1;
        let row = if self.steps <= 2 { [0.0, 5.0, -5.0, 9.0] } else { [5.0, 0.0, -5.0, 9.0] };
        Ok(row.repeat(tokens.len()))
    }

    fn select(&mut self, _: &[u32]) -> kandinsky::tensor::Result<()> {
        Ok(())
    }
}

#[test]
fn the_padding_which_is_also_the_start_is_never_written() {
    let usual = model(&Compute::cpu()).search().clone();
    assert_eq!(usual.banned.first(), Some(&usual.start));
    for beams in [1, 2] {
        let search = Search { beams, max_length: 8, banned: vec![3], start: 3, end: 0, ..usual.clone() };
        let found = |search: &Search| search.run(&mut PaddingFirst { steps: 0 }, &|| false).unwrap().unwrap();
        assert_eq!(found(&search), [1, 1], "{beams}");
        assert!(found(&Search { banned: Vec::new(), ..search }).contains(&3), "{beams}");
    }
}

#[test]
fn a_translation_that_nobody_waits_for_ends() {
    let model = model(&Compute::cpu());
    assert_eq!(model.translate("панда", &|| true).unwrap(), None);
}

#[test]
fn what_is_not_supported_is_refused_and_named() {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let load = |name: &str, change: &dyn Fn(&mut serde_json::Value)| {
        let path = copy.path().join(name);
        let before = std::fs::read(&path).unwrap();
        let mut json = serde_json::from_slice(&before).unwrap();
        change(&mut json);
        std::fs::write(&path, json.to_string()).unwrap();
        let loaded = MarianModel::load(&Folder::Disk(copy.path().to_owned()), &Compute::cpu());
        std::fs::write(&path, before).unwrap();
        loaded.err().map(|error| error.to_string()).unwrap_or_default()
    };
    for (file, field, value) in [
        ("config.json", "share_encoder_decoder_embeddings", serde_json::json!(false)),
        ("config.json", "activation_function", serde_json::json!("mish")),
        ("config.json", "vocab_size", serde_json::json!(700)),
        ("config.json", "d_model", serde_json::json!(33)),
        ("generation_config.json", "num_beams", serde_json::json!(1000)),
        ("generation_config.json", "bad_words_ids", serde_json::json!([[1, 2]])),
        ("generation_config.json", "early_stopping", serde_json::json!("soon")),
    ] {
        let error = load(file, &|json| json[field] = value.clone());
        assert!(error.contains(field) || error.contains("vocab_size"), "{field}: {error:?}");
    }
    assert!(load("vocab.json", &|json| drop(json.as_object_mut().unwrap().remove("<unk>"))).contains("<unk>"));
    std::fs::write(copy.path().join("source.spm"), [8, 1, 2]).unwrap();
    let error = load("config.json", &|_| {});
    assert!(error.contains("source.spm"), "{error}");
}

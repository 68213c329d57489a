//! Marian models against transformers, which made `tests/fixtures/marian` (`training/make_marian_fixture.py`): a random network in the
//! files of a published one, with sentencepiece models of the captions; and `marian-variants`, smaller ones of other shapes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device};
use kandinsky::tensor::files::Folder;
use kandinsky::tensor::{Compute, to_vec};
use kandinsky::translation::marian::{EarlyStopping, MarianModel, Scorer, Search, Target};
use serde::Deserialize;

/// Relative L2 error of the states of the encoder.
const LIMIT: f32 = 1e-5;

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    states: Vec<f32>,
    /// By the name of the search.
    #[serde(flatten)]
    found: HashMap<String, Found>,
}

#[derive(Deserialize)]
struct Found {
    /// With start, end and padding.
    ids: Vec<u32>,
    text: String,
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn folder() -> PathBuf {
    fixtures().join("marian")
}

fn cases(folder: &Path) -> Vec<Case> {
    serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap()
}

fn model(compute: &Compute) -> MarianModel {
    MarianModel::load(&Folder::Disk(folder()), Target::Only, compute).unwrap()
}

/// Ids, states of the encoder and translations of a folder's texts are the reference's.
fn compare(folder: &Path, target: Target<'_>, compute: &Compute, searches: &[(&str, &dyn Fn(Search) -> Search)]) {
    let model = MarianModel::load(&Folder::Disk(folder.to_owned()), target, compute).unwrap();
    let shown = folder.display();
    for case in cases(folder) {
        assert_eq!(model.vocabulary().encode(&case.text), case.ids, "{:?} in {shown}", case.text);
        let states = to_vec(&model.network().encode(&case.ids).unwrap()).unwrap();
        assert_eq!(states.len(), case.states.len());
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
        let apart = norm(&mut states.iter().zip(&case.states).map(|(a, b)| a - b));
        let apart = apart / norm(&mut case.states.iter().copied());
        assert!(apart < LIMIT, "{:?} in {shown}, {compute:?}: {apart:e}", case.text);
        for (name, with) in searches {
            let (search, want) = (with(model.search().clone()), &case.found[*name]);
            let found = model.find(&case.ids, &search, &|| false).unwrap().unwrap();
            let special = [search.start, search.end];
            let wanted: Vec<u32> = want.ids.iter().copied().filter(|id| !special.contains(id)).collect();
            assert_eq!(found, wanted, "{name} of {:?} in {shown}, {compute:?}", case.text);
            assert_eq!(model.vocabulary().decode(&found), want.text, "{name} of {:?} in {shown}", case.text);
        }
    }
}

#[test]
fn ids_states_and_translations_are_the_references() {
    for compute in [Compute::cpu(), Compute::candle(Device::Cpu, DType::F32).unwrap()] {
        let usual = model(&compute).search().clone();
        assert_eq!((usual.beams, usual.max_length), (6, 24), "as generation_config.json says");
        let early = EarlyStopping::Yes;
        compare(
            &folder(),
            Target::Only,
            &compute,
            &[
                ("greedy", &|usual| Search { beams: 1, ..usual }),
                ("beam", &|usual| usual),
                ("beam_3_penalty", &|usual| Search { beams: 3, length_penalty: 0.6, ..usual }),
                ("beam_early", &|usual| Search { beams: 4, early_stopping: early, ..usual }),
                ("beam_never", &|usual| Search {
                    beams: 4,
                    early_stopping: EarlyStopping::Never,
                    length_penalty: 1.5,
                    ..usual
                }),
            ],
        );
    }
}

#[derive(Deserialize)]
struct Numbered {
    text: String,
    ids: Vec<u32>,
}

#[test]
fn texts_of_all_scripts_have_the_references_ids() {
    let model = model(&Compute::cpu());
    let texts: Vec<Numbered> = serde_json::from_slice(&std::fs::read(folder().join("ids.json")).unwrap()).unwrap();
    assert!(texts.len() > 40);
    for Numbered { text, ids } in texts {
        assert_eq!(model.vocabulary().encode(&text), ids, "{text:?}");
    }
}

#[test]
fn models_of_other_shapes_are_the_references_too() {
    for (name, target) in [("separate", Target::Only), ("untied", Target::Only), ("several", Target::Named("eng"))] {
        compare(
            &fixtures().join("marian-variants").join(name),
            target,
            &Compute::cpu(),
            &[
                ("greedy", &|usual| Search { beams: 1, ..usual }),
                ("beam", &|usual| usual),
                ("beam_penalty", &|usual| Search { beams: 3, length_penalty: 0.6, ..usual }),
            ],
        );
    }
}

#[test]
fn a_model_of_several_languages_is_told_which_one_is_meant() {
    let load = |folder: PathBuf, target| MarianModel::load(&Folder::Disk(folder), target, &Compute::cpu());
    let several = || fixtures().join("marian-variants/several");
    let refused = |folder, target| load(folder, target).err().map(|error| error.to_string()).unwrap_or_default();
    for (target, said) in [
        (Target::Only, "several languages, so one must be named: bel, deu, eng"),
        (Target::Named("fra"), "does not translate into \"fra\", but into: bel, deu, eng"),
    ] {
        let error = refused(several(), target);
        assert!(error.contains(said), "{error}");
    }
    assert!(refused(folder(), Target::Named("eng")).contains("one language"));
    let ids = |target| load(several(), target).unwrap().vocabulary().encode("панда");
    let (english, german, unsaid) = (ids(Target::Named("eng")), ids(Target::Named("deu")), ids(Target::Unsaid));
    assert!(english[0] != german[0] && english[1..] == german[1..] && english[1..] == unsaid);
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
    assert_eq!(usual.banned.first(), Some(&vec![usual.start]));
    for beams in [1, 2] {
        let search = Search { beams, max_length: 8, banned: vec![vec![3]], start: 3, end: 0, ..usual.clone() };
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
        let loaded = MarianModel::load(&Folder::Disk(copy.path().to_owned()), Target::Only, &Compute::cpu());
        std::fs::write(&path, before).unwrap();
        loaded.err().map(|error| error.to_string()).unwrap_or_default()
    };
    for (file, field, value) in [
        ("config.json", "normalize_before", serde_json::json!(true)),
        ("config.json", "static_position_embeddings", serde_json::json!(false)),
        ("config.json", "activation_function", serde_json::json!("mish")),
        ("config.json", "vocab_size", serde_json::json!(700)),
        ("config.json", "d_model", serde_json::json!(33)),
        ("generation_config.json", "num_beams", serde_json::json!(1000)),
        ("generation_config.json", "no_repeat_ngram_size", serde_json::json!(3)),
        ("generation_config.json", "do_sample", serde_json::json!(true)),
        ("generation_config.json", "forced_bos_token_id", serde_json::json!(7)),
        ("generation_config.json", "eos_token_id", serde_json::json!([0, 5])),
        ("generation_config.json", "early_stopping", serde_json::json!("soon")),
    ] {
        let error = load(file, &|json| json[field] = value.clone());
        assert!(error.contains(field) || error.contains("asks for [700, 32]"), "{field}: {error:?}");
    }
    assert!(load("vocab.json", &|json| drop(json.as_object_mut().unwrap().remove("<unk>"))).contains("<unk>"));
    std::fs::write(copy.path().join("source.spm"), [8, 1, 2]).unwrap();
    let error = load("config.json", &|_| {});
    assert!(error.contains("source.spm"), "{error}");
}

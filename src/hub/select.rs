//! Which files of a repository are needed. A repository holds the same weights in up to six variants; one is enough.
//!
//! Invariant: per component one complete variant of the weights is chosen or the component is reported, never a part of one.

use std::collections::{BTreeMap, BTreeSet};

use crate::tensor::weight_files::{Precision, choose_weights};

pub(super) const MODEL_INDEX: &str = "model_index.json";
const CONFIG: &str = "config.json";
/// Configurations of components that have no weights.
const WEIGHTLESS: [&str; 3] = ["scheduler_config.json", "preprocessor_config.json", "tokenizer_config.json"];
const TOKENIZER: [&str; 5] =
    ["tokenizer.json", "special_tokens_map.json", "vocab.json", "merges.txt", "sentencepiece.bpe.model"];

/// What a translation model cannot do without, beside its weights.
const TRANSLATOR: [&str; 3] = [CONFIG, "vocab.json", "source.spm"];
const TRANSLATOR_OPTIONAL: [&str; 4] =
    ["generation_config.json", "target.spm", "target_vocab.json", "tokenizer_config.json"];

/// What [`select`] chose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Paths inside the repository, in order.
    pub files: Vec<String>,
    /// Components that should have weights and have none in a known variant.
    pub without_weights: Vec<String>,
}

/// Chooses from a repository's file names (paths with `/`) what a Kandinsky pipeline needs.
///
/// Weights are taken in the first variant that is complete: safetensors before `.bin`, then the preferred precision
/// before the other, then one file before shards.
#[must_use]
pub fn select<S: AsRef<str>>(names: &[S], precision: Precision) -> Selection {
    let mut files = BTreeSet::new();
    let mut folders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for name in names.iter().map(AsRef::as_ref) {
        match name.split_once('/') {
            None if name == MODEL_INDEX => drop(files.insert(name.to_owned())),
            // Components are folders of the first level; anything deeper is a training checkpoint or an export.
            Some((folder, file)) if !file.contains('/') => drop(folders.entry(folder).or_default().insert(file)),
            _ => {}
        }
    }
    let mut without_weights = Vec::new();
    for (folder, names) in folders {
        let small = |name: &&&str| **name == CONFIG || WEIGHTLESS.contains(name) || TOKENIZER.contains(name);
        let mut chosen: Vec<&str> = names.iter().filter(small).copied().collect();
        if names.contains(CONFIG) && !WEIGHTLESS.iter().any(|config| names.contains(config)) {
            match choose_weights(&names, precision) {
                Some(weights) => chosen.extend(weights.all()),
                None => without_weights.push(folder.to_owned()),
            }
        }
        files.extend(chosen.into_iter().map(|file| format!("{folder}/{file}")));
    }
    Selection { files: files.into_iter().collect(), without_weights }
}

/// Chooses from a repository's file names what a Marian translation model needs: files at its root.
#[must_use]
pub fn select_translator<S: AsRef<str>>(names: &[S], precision: Precision) -> Selection {
    let names: BTreeSet<&str> = names.iter().map(AsRef::as_ref).collect();
    let small = TRANSLATOR.iter().chain(&TRANSLATOR_OPTIONAL).copied().filter(|name| names.contains(name));
    let mut files: Vec<String> = small.map(str::to_owned).collect();
    let mut without_weights = Vec::new();
    match choose_weights(&names, precision) {
        Some(weights) => files.extend(weights.all().map(str::to_owned)),
        None => without_weights.push("translation".to_owned()),
    }
    files.sort();
    Selection { files, without_weights }
}

/// The file that a translation model has and these files lack.
pub(super) fn missing_for_translator(files: &[String]) -> Option<&'static str> {
    TRANSLATOR.into_iter().find(|needed| !files.iter().any(|file| file == needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], precision: Precision) -> Vec<String> {
        select(names, precision).files
    }

    /// As `kandinsky-community/kandinsky-2-1` has them, and things found beside them elsewhere.
    const REPO: [&str; 24] = [
        ".gitattributes",
        "README.md",
        "model_index.json",
        "kandinsky_fp16.ckpt",
        "movq/config.json",
        "movq/diffusion_pytorch_model.bin",
        "movq/diffusion_pytorch_model.fp16.bin",
        "movq/diffusion_pytorch_model.fp16.safetensors",
        "movq/diffusion_pytorch_model.safetensors",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "text_encoder/pytorch_model.bin",
        "text_encoder/pytorch_model.fp16.bin",
        "tokenizer/sentencepiece.bpe.model",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "unet/diffusion_pytorch_model.non_ema.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "unet/optimizer.bin",
        "unet/checkpoint-9/config.json",
    ];

    #[test]
    fn a_translator_is_its_small_files_and_one_variant_of_its_weights() {
        // As Helsinki-NLP/opus-mt-ru-en has them, and one more that models with a vocabulary for each language have.
        let names = [
            ".gitattributes",
            "README.md",
            "config.json",
            "generation_config.json",
            "pytorch_model.bin",
            "rust_model.ot",
            "source.spm",
            "target.spm",
            "target_vocab.json",
            "tf_model.h5",
            "tokenizer_config.json",
            "vocab.json",
        ];
        let wanted = [2, 3, 4, 6, 7, 8, 10, 11].map(|i| names[i]);
        let selection = select_translator(&names, Precision::Half);
        assert_eq!(
            (selection.files.iter().map(String::as_str).collect::<Vec<_>>(), selection.without_weights.len()),
            (wanted.to_vec(), 0)
        );
        assert_eq!(missing_for_translator(&selection.files), None);
        assert_eq!(missing_for_translator(&["config.json".to_owned()]), Some("vocab.json"));
    }

    #[test]
    fn half_takes_fp16_safetensors_then_plain_safetensors_and_all_the_small_files() {
        assert_eq!(
            chosen(&REPO, Precision::Half),
            [
                "model_index.json",
                "movq/config.json",
                "movq/diffusion_pytorch_model.fp16.safetensors",
                "scheduler/scheduler_config.json",
                "text_encoder/config.json",
                "text_encoder/model.safetensors",
                "tokenizer/sentencepiece.bpe.model",
                "tokenizer/special_tokens_map.json",
                "tokenizer/tokenizer.json",
                "tokenizer/tokenizer_config.json",
                "unet/config.json",
                "unet/diffusion_pytorch_model.fp16.safetensors",
            ]
        );
    }

    #[test]
    fn full_takes_the_variant_without_suffix_and_falls_back_to_half() {
        let full = chosen(&REPO, Precision::Full);
        assert!(full.contains(&"unet/diffusion_pytorch_model.safetensors".to_owned()));
        assert!(!full.iter().any(|name| name.contains("fp16")));
        let only_half = ["prior/config.json", "prior/diffusion_pytorch_model.fp16.safetensors"];
        assert_eq!(chosen(&only_half, Precision::Full), only_half);
    }

    #[test]
    fn shards_come_with_their_index_in_every_spelling() {
        for shards in [
            ["model.fp16-00001-of-00002.safetensors", "model.fp16-00002-of-00002.safetensors"],
            ["model-00001-of-00002.fp16.safetensors", "model-00002-of-00002.fp16.safetensors"],
        ] {
            let names = [
                shards[0],
                shards[1],
                "config.json",
                "model.safetensors.index.fp16.json",
                "model.safetensors.index.json",
            ]
            .map(|name| format!("text_encoder/{name}"));
            let mut expected = names[..4].to_vec();
            expected.sort();
            assert_eq!(select(&names, Precision::Half).files, expected);
        }
    }

    #[test]
    fn an_incomplete_variant_is_passed_over() {
        let names = [
            "unet/config.json",
            "unet/diffusion_pytorch_model-00001-of-00002.safetensors",
            "unet/diffusion_pytorch_model.safetensors.index.json",
            "unet/diffusion_pytorch_model.fp16-00001-of-00001.safetensors",
            "unet/diffusion_pytorch_model.bin",
        ];
        assert_eq!(chosen(&names, Precision::Half), ["unet/config.json", "unet/diffusion_pytorch_model.bin"]);
    }

    #[test]
    fn pytorch_files_are_the_last_resort_with_the_variant_still_minded() {
        let names =
            ["text_encoder/config.json", "text_encoder/pytorch_model.bin", "text_encoder/pytorch_model.fp16.bin"];
        assert_eq!(chosen(&names, Precision::Half), [names[0], names[2]]);
        assert_eq!(chosen(&names, Precision::Full), [names[0], names[1]]);
    }

    #[test]
    fn other_variants_are_taken_where_there_is_nothing_else() {
        let names = ["unet/config.json", "unet/diffusion_pytorch_model.non_ema.safetensors"];
        assert_eq!(chosen(&names, Precision::Half), names);
        let names = ["text_encoder/config.json", "text_encoder/pytorch_model.fp16.bin"];
        assert_eq!(chosen(&names, Precision::Full), names);
    }

    #[test]
    fn a_component_without_known_weights_is_named() {
        let names =
            ["unet/config.json", "unet/flax_model.msgpack", "tokenizer/config.json", "tokenizer/tokenizer_config.json"];
        let selection = select(&names, Precision::Half);
        assert_eq!(selection.without_weights, ["unet"]);
        assert_eq!(selection.files, ["tokenizer/config.json", "tokenizer/tokenizer_config.json", "unet/config.json"]);
    }
}

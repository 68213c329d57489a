//! Which files of a repository are needed. A repository holds the same weights in up to six variants; one is enough.
//!
//! Invariant: per component one complete variant of the weights is chosen or the component is reported, never a part of one.

use std::collections::{BTreeMap, BTreeSet};

use strum::EnumString;

const HALF: &str = "fp16";
/// Base names that diffusers and transformers give to weights. Others (`optimizer.bin`, `openvino_model.bin`) are
/// something else.
const SAFETENSORS_BASES: [&str; 2] = ["diffusion_pytorch_model", "model"];
const PYTORCH_BASES: [&str; 2] = ["diffusion_pytorch_model", "pytorch_model"];
pub(super) const MODEL_INDEX: &str = "model_index.json";
const CONFIG: &str = "config.json";
/// Configurations of components that have no weights.
const WEIGHTLESS: [&str; 3] = ["scheduler_config.json", "preprocessor_config.json", "tokenizer_config.json"];
const TOKENIZER: [&str; 5] =
    ["tokenizer.json", "special_tokens_map.json", "vocab.json", "merges.txt", "sentencepiece.bpe.model"];

/// Which variant to prefer if a component comes in both. Parsed from `half` and `full`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, EnumString)]
#[strum(serialize_all = "lowercase", parse_err_fn = unknown_precision, parse_err_ty = String)]
pub enum Precision {
    /// The fp16 variant: half the download.
    #[default]
    Half,
    /// The variant without a suffix, usually f32.
    Full,
}

fn unknown_precision(text: &str) -> String {
    format!("unknown precision {text:?}; known are half and full")
}

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
            match weights(&names, precision) {
                Some(weights) => chosen.extend(weights),
                None => without_weights.push(folder.to_owned()),
            }
        }
        files.extend(chosen.into_iter().map(|file| format!("{folder}/{file}")));
    }
    Selection { files: files.into_iter().collect(), without_weights }
}

/// One of the variants in which a component's weights come. The order of the fields is the order of preference, smallest
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct WeightsVariant<'a> {
    pytorch: bool,
    other_variant: bool,
    base: &'a str,
}

/// The files found of one variant.
#[derive(Debug, Default)]
struct Found<'a> {
    whole: Option<&'a str>,
    index: Option<&'a str>,
    shards: BTreeMap<u32, &'a str>,
    shard_count: u32,
}

impl<'a> Found<'a> {
    fn complete(self) -> Option<Vec<&'a str>> {
        if let Some(whole) = self.whole {
            return Some(vec![whole]);
        }
        let index = self.index?;
        let all = self.shard_count > 0 && self.shards.keys().copied().eq(1..=self.shard_count);
        all.then(|| std::iter::once(index).chain(self.shards.into_values()).collect())
    }
}

fn weights<'a>(names: &BTreeSet<&'a str>, precision: Precision) -> Option<Vec<&'a str>> {
    let mut variants: BTreeMap<WeightsVariant, Found> = BTreeMap::new();
    for name in names {
        let Some(weight) = WeightName::parse(name) else { continue };
        let other_variant = weight.half != (precision == Precision::Half);
        let found =
            variants.entry(WeightsVariant { pytorch: weight.pytorch, other_variant, base: weight.base }).or_default();
        match weight.part {
            Part::Whole => found.whole = Some(name),
            Part::Index => found.index = Some(name),
            Part::Shard { number, of } => {
                found.shards.insert(number, name);
                found.shard_count = of;
            }
        }
    }
    variants.into_values().find_map(Found::complete)
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Index,
    Shard { number: u32, of: u32 },
}

/// A weight file's name, taken apart: `BASE[.fp16][-00001-of-00002][.fp16].EXT` or `BASE.EXT.index[.fp16].json`.
#[derive(Debug, PartialEq, Eq)]
struct WeightName<'a> {
    base: &'a str,
    pytorch: bool,
    half: bool,
    part: Part,
}

impl<'a> WeightName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let mut shard = None;
        let mut half = false;
        let mut rest = Vec::new();
        for piece in name.split('.') {
            let piece = match split_shard(piece) {
                Some((piece, number, of)) => {
                    shard = Some(Part::Shard { number, of });
                    piece
                }
                None => piece,
            };
            if piece == HALF {
                half = true;
            } else {
                rest.push(piece);
            }
        }
        let (base, extension, part) = match rest[..] {
            [base, extension] => (base, extension, shard.unwrap_or(Part::Whole)),
            [base, extension, "index", "json"] if shard.is_none() => (base, extension, Part::Index),
            _ => return None,
        };
        let pytorch = match extension {
            "safetensors" if SAFETENSORS_BASES.contains(&base) => false,
            "bin" if PYTORCH_BASES.contains(&base) => true,
            _ => return None,
        };
        Some(Self { base, pytorch, half, part })
    }
}

/// `model-00001-of-00002` -> `("model", 1, 2)`.
fn split_shard(piece: &str) -> Option<(&str, u32, u32)> {
    let (head, of) = piece.rsplit_once("-of-")?;
    let (head, number) = head.rsplit_once('-')?;
    let digits = |text: &str| if text.len() == 5 { text.parse().ok() } else { None };
    Some((head, digits(number)?, digits(of)?))
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
    fn a_component_without_known_weights_is_named() {
        let names =
            ["unet/config.json", "unet/flax_model.msgpack", "tokenizer/config.json", "tokenizer/tokenizer_config.json"];
        let selection = select(&names, Precision::Half);
        assert_eq!(selection.without_weights, ["unet"]);
        assert_eq!(selection.files, ["tokenizer/config.json", "tokenizer/tokenizer_config.json", "unet/config.json"]);
    }
}

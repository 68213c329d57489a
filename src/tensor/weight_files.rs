//! The names that weight files have, and which of them to take: the one list for those that fetch and those that load.
//!
//! Invariant: of the weights one complete variant is chosen or none, never a part of one.

use std::collections::{BTreeMap, BTreeSet};

use strum::EnumString;

/// Base names that diffusers and transformers give to weights. Others (`optimizer.bin`, `openvino_model.bin`) are
/// something else.
const SAFETENSORS_BASES: [&str; 2] = ["diffusion_pytorch_model", "model"];
const PYTORCH_BASES: [&str; 2] = ["diffusion_pytorch_model", "pytorch_model"];
/// Variants beside the one without a suffix, the most wanted first. Weights of training without averaging come last.
const HALF: &str = "fp16";
const OTHERS: [&str; 3] = ["fp32", "bf16", "non_ema"];

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

/// The files of one variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFiles<'a> {
    /// The list of shards, where there are several.
    pub index: Option<&'a str>,
    /// One file, or the shards in their order.
    pub files: Vec<&'a str>,
    /// Whether they are PyTorch's pickles; else safetensors.
    pub pytorch: bool,
}

impl<'a> WeightFiles<'a> {
    /// All names, the index first.
    pub fn all(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.index.into_iter().chain(self.files.clone())
    }
}

/// The first variant that is complete among the files of a component: safetensors before `.bin`, then the preferred precision
/// before the others, then one file before shards.
#[must_use]
pub fn choose_weights<'a>(names: &BTreeSet<&'a str>, precision: Precision) -> Option<WeightFiles<'a>> {
    let mut variants: BTreeMap<Variant, Found> = BTreeMap::new();
    for name in names {
        let Some(weight) = WeightName::parse(name) else { continue };
        let rank = rank(weight.variant, precision);
        let found = variants.entry(Variant { pytorch: weight.pytorch, rank, base: weight.base }).or_default();
        match weight.part {
            Part::Whole => found.whole = Some(name),
            Part::Index => found.index = Some(name),
            Part::Shard { number, of } => {
                found.shards.insert(number, name);
                found.shard_count = of;
            }
        }
    }
    variants.into_iter().find_map(|(variant, found)| found.complete(variant.pytorch))
}

/// Whether this is the name of a weight file that can be read.
#[must_use]
pub fn is_weights(name: &str) -> bool {
    WeightName::parse(name).is_some_and(|weight| weight.part != Part::Index)
}

/// How much a variant is wanted; 0 is most.
fn rank(variant: Option<&str>, precision: Precision) -> usize {
    match variant {
        Some(HALF) => usize::from(precision == Precision::Full),
        None => usize::from(precision == Precision::Half),
        Some(other) => 2 + OTHERS.iter().position(|known| *known == other).unwrap_or(OTHERS.len()),
    }
}

/// One of the variants in which a component's weights come. The order of the fields is the order of preference, smallest
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Variant<'a> {
    pytorch: bool,
    rank: usize,
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
    fn complete(self, pytorch: bool) -> Option<WeightFiles<'a>> {
        if let Some(whole) = self.whole {
            return Some(WeightFiles { index: None, files: vec![whole], pytorch });
        }
        let index = Some(self.index?);
        let all = self.shard_count > 0 && self.shards.keys().copied().eq(1..=self.shard_count);
        all.then(|| WeightFiles { index, files: self.shards.into_values().collect(), pytorch })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Index,
    Shard { number: u32, of: u32 },
}

/// A weight file's name, taken apart: `BASE[.VARIANT][-00001-of-00002][.VARIANT].EXT` or `BASE.EXT.index[.VARIANT].json`.
#[derive(Debug, PartialEq, Eq)]
struct WeightName<'a> {
    base: &'a str,
    pytorch: bool,
    variant: Option<&'a str>,
    part: Part,
}

impl<'a> WeightName<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let mut shard = None;
        let mut variant = None;
        let mut rest = Vec::new();
        for piece in name.split('.') {
            let piece = match split_shard(piece) {
                Some((piece, number, of)) => {
                    shard = Some(Part::Shard { number, of });
                    piece
                }
                None => piece,
            };
            if piece == HALF || OTHERS.contains(&piece) {
                variant = Some(piece);
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
        Some(Self { base, pytorch, variant, part })
    }
}

/// `model-00001-of-00002` -> `("model", 1, 2)`.
fn split_shard(piece: &str) -> Option<(&str, u32, u32)> {
    let (head, of) = piece.rsplit_once("-of-")?;
    let (head, number) = head.rsplit_once('-')?;
    let digits = |text: &str| if text.len() == 5 { text.parse().ok() } else { None };
    Some((head, digits(number)?, digits(of)?))
}

//! Texts to ids and back: `source.spm` divides them, `vocab.json` numbers the pieces of both languages, or of the source language
//! where the other one has its own, `target_vocab.json`.
//!
//! Invariant: ids are those of transformers' `MarianTokenizer`, but that a text which spells out `</s>` or `>>fr<<` is a text.

use std::collections::HashMap;

use serde::Deserialize;

use super::config::MarianConfig;
use crate::sentencepiece::{self, Model, Unigram};
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;

const SOURCE: &str = "source.spm";
const NUMBERS: &str = "vocab.json";
const TARGET_NUMBERS: &str = "target_vocab.json";
const TOKENIZER: &str = "tokenizer_config.json";
const UNKNOWN: &str = "<unk>";
const END: &str = "</s>";
const PADDING: &str = "<pad>";
/// Most languages that a message names.
const MOST_NAMED: usize = 12;

/// Which of its languages a model of several translates into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target<'a> {
    /// The only one.
    #[default]
    Only,
    /// The one that the model calls so, between `>>` and `<<`.
    Named(&'a str),
    /// Nothing is said to the model, whatever it knows.
    Unsaid,
}

impl<'a> Target<'a> {
    /// As the configuration writes it.
    #[must_use]
    pub fn of(name: &'a str) -> Self {
        match name {
            "" => Self::Only,
            "-" => Self::Unsaid,
            name => Self::Named(name),
        }
    }
}

/// The vocabulary of a model.
pub struct Vocabulary {
    unigram: Unigram,
    ids: HashMap<String, u32>,
    pieces: HashMap<u32, String>,
    unknown: u32,
    end: u32,
    /// Says which language is meant, before each text.
    language: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenizerConfig {
    separate_vocabs: bool,
}

impl Vocabulary {
    /// Read from the folder of a checkpoint.
    pub fn read(folder: &Folder, config: &MarianConfig, target: Target<'_>) -> Result<Self> {
        let bad = |message: String| Error::config(folder.name_of(SOURCE), message);
        let contents = folder.require(SOURCE, "how the source language is divided into pieces")?;
        let unigram = Model::read(&contents).and_then(|model| Unigram::new(&model)).map_err(bad)?;
        let tokenizer: TokenizerConfig = if folder.has(TOKENIZER) {
            folder.json(TOKENIZER, "how texts are numbered")?
        } else {
            TokenizerConfig::default()
        };
        let ids = numbers(folder, NUMBERS, config.vocab_size)?;
        let own = || numbers(folder, TARGET_NUMBERS, config.target_vocab_size());
        let target_ids = tokenizer.separate_vocabs.then(own).transpose()?;
        let pieces = target_ids.as_ref().unwrap_or(&ids).iter().map(|(piece, id)| (*id, piece.clone())).collect();
        let id = |token: &str| {
            let missing = || Error::config(folder.name_of(NUMBERS), format!("{token} is missing"));
            ids.get(token).copied().ok_or_else(missing)
        };
        let (unknown, end) = (id(UNKNOWN)?, id(END)?);
        let language = language(&ids, target).map_err(|message| Error::config(folder.name_of(NUMBERS), message))?;
        Ok(Self { unigram, ids, pieces, unknown, end, language })
    }

    /// The ids of a text, with the language that is meant before them, and the end token behind.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let pieces = self.unigram.divide(text);
        let ids = pieces.iter().map(|piece| self.ids.get(piece).copied().unwrap_or(self.unknown));
        self.language.into_iter().chain(ids).chain([self.end]).collect()
    }

    /// The text of ids; special tokens are left out.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        let pieces = ids.iter().filter_map(|id| self.pieces.get(id)).map(String::as_str);
        let text: String = pieces.filter(|piece| ![UNKNOWN, END, PADDING].contains(piece)).collect();
        text.replace(sentencepiece::SPACE, " ").trim().to_owned()
    }
}

/// The numbers of pieces, all of them below `size`.
fn numbers(folder: &Folder, file: &str, size: usize) -> Result<HashMap<String, u32>> {
    let ids: HashMap<String, u32> = folder.json(file, "the numbers of the pieces")?;
    match ids.values().max() {
        Some(most) if (*most as usize) < size => Ok(ids),
        _ => Err(Error::config(
            folder.name_of(file),
            format!("it must have numbers from 0 to {}", size.saturating_sub(1)),
        )),
    }
}

/// The id of the language that is meant, or what is wrong with that.
fn language(ids: &HashMap<String, u32>, target: Target<'_>) -> std::result::Result<Option<u32>, String> {
    let mut known: Vec<&str> = ids.keys().filter_map(|piece| piece.strip_prefix(">>")?.strip_suffix("<<")).collect();
    known.sort_unstable();
    let named = || {
        let more = if known.len() > MOST_NAMED { ", …" } else { "" };
        format!("{}{more}", known.iter().take(MOST_NAMED).copied().collect::<Vec<_>>().join(", "))
    };
    match target {
        Target::Unsaid => Ok(None),
        Target::Only if known.len() < 2 => Ok(None),
        Target::Only => Err(format!("the model translates into several languages, so one must be named: {}", named())),
        Target::Named(name) => match ids.get(&format!(">>{name}<<")) {
            Some(id) => Ok(Some(*id)),
            None if known.is_empty() => Err(format!("the model translates into one language; it knows no >>{name}<<")),
            None => Err(format!("the model does not translate into {name:?}, but into: {}", named())),
        },
    }
}

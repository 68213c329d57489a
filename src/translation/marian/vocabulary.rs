//! Texts to ids and back: `source.spm` divides them, `vocab.json` numbers the pieces of both languages.
//!
//! Invariant: ids are those of transformers' `MarianTokenizer`, but that a text which spells out `</s>` or `>>fr<<` is a text.

use std::collections::HashMap;

use crate::sentencepiece::{self, Model, Unigram};
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;

const SOURCE: &str = "source.spm";
const NUMBERS: &str = "vocab.json";
const UNKNOWN: &str = "<unk>";
const END: &str = "</s>";
const PADDING: &str = "<pad>";

/// The vocabulary of a model.
pub struct Vocabulary {
    unigram: Unigram,
    ids: HashMap<String, u32>,
    pieces: HashMap<u32, String>,
    unknown: u32,
    end: u32,
}

impl Vocabulary {
    /// Read from the folder of a checkpoint.
    pub fn read(folder: &Folder) -> Result<Self> {
        let bad = |message: String| Error::config(folder.name_of(SOURCE), message);
        let contents = folder.require(SOURCE, "how the source language is divided into pieces")?;
        let unigram = Model::read(&contents).and_then(|model| Unigram::new(&model)).map_err(bad)?;
        let ids: HashMap<String, u32> = folder.json(NUMBERS, "the numbers of the pieces")?;
        let id = |token: &str| {
            let missing = || Error::config(folder.name_of(NUMBERS), format!("{token} is missing"));
            ids.get(token).copied().ok_or_else(missing)
        };
        let (unknown, end) = (id(UNKNOWN)?, id(END)?);
        let pieces = ids.iter().map(|(piece, id)| (*id, piece.clone())).collect();
        Ok(Self { unigram, ids, pieces, unknown, end })
    }

    /// The ids of a text, with the end token.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let pieces = self.unigram.divide(text);
        let ids = pieces.iter().map(|piece| self.ids.get(piece).copied().unwrap_or(self.unknown));
        ids.chain([self.end]).collect()
    }

    /// The text of ids; special tokens are left out.
    #[must_use]
    pub fn decode(&self, ids: &[u32]) -> String {
        let pieces = ids.iter().filter_map(|id| self.pieces.get(id)).map(String::as_str);
        let text: String = pieces.filter(|piece| ![UNKNOWN, END, PADDING].contains(piece)).collect();
        text.replace(sentencepiece::SPACE, " ").trim().to_owned()
    }
}

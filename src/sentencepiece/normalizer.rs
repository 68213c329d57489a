//! Texts as they are before they are divided: characters replaced by the model's table, spaces tidied up and made visible.
//!
//! Invariant: the same text comes out as of sentencepiece's `Normalizer::Normalize`.

use super::charsmap::Charsmap;
use super::model::{Model, PieceKind, SPACE};

/// The normaliser of a model.
#[derive(Debug, Clone)]
pub(super) struct Normalizer {
    charsmap: Charsmap,
    /// Pieces that stay as they are, whatever the table says.
    kept: Vec<String>,
    add_dummy_prefix: bool,
    remove_extra_whitespaces: bool,
    escape_whitespaces: bool,
    space_is_suffix: bool,
}

impl Normalizer {
    pub(super) fn new(model: &Model) -> Result<Self, String> {
        let kept = model.pieces.iter().filter(|piece| piece.kind == PieceKind::UserDefined && !piece.text.is_empty());
        Ok(Self {
            charsmap: Charsmap::read(&model.charsmap)?,
            kept: kept.map(|piece| piece.text.clone()).collect(),
            add_dummy_prefix: model.add_dummy_prefix,
            remove_extra_whitespaces: model.remove_extra_whitespaces,
            escape_whitespaces: model.escape_whitespaces,
            space_is_suffix: model.space_is_suffix,
        })
    }

    /// The text, normalised.
    pub(super) fn normalize(&self, text: &str) -> String {
        let space = if self.escape_whitespaces { SPACE } else { ' ' };
        let mut rest = text;
        if self.remove_extra_whitespaces {
            while let Some((" ", length)) = self.first(rest) {
                rest = &rest[length..];
            }
        }
        let mut normal = String::with_capacity(text.len() + SPACE.len_utf8());
        if rest.is_empty() {
            return normal;
        }
        if self.add_dummy_prefix && !self.space_is_suffix {
            normal.push(space);
        }
        let mut after_space = self.remove_extra_whitespaces;
        while let Some((read, length)) = self.first(rest) {
            let read = if after_space { read.trim_start_matches(' ') } else { read };
            normal.extend(read.chars().map(|c| if c == ' ' { space } else { c }));
            if !read.is_empty() {
                after_space = self.remove_extra_whitespaces && read.ends_with(' ');
            }
            rest = &rest[length..];
        }
        if self.remove_extra_whitespaces {
            normal.truncate(normal.trim_end_matches(space).len());
        }
        if self.add_dummy_prefix && self.space_is_suffix {
            normal.push(space);
        }
        normal
    }

    /// What the beginning of a text is read as, and its length in bytes. `None`: the text is empty.
    fn first<'a>(&'a self, text: &'a str) -> Option<(&'a str, usize)> {
        let kept = self.kept.iter().filter(|piece| text.starts_with(piece.as_str())).map(String::len).max();
        if let Some(length) = kept {
            return Some((&text[..length], length));
        }
        let length = text.chars().next()?.len_utf8();
        Some(self.charsmap.replace(text).unwrap_or((&text[..length], length)))
    }
}

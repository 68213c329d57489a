//! Texts divided into the most probable pieces (Kudo 2018), by dynamic programming over the characters.
//!
//! Invariant: the same pieces as of sentencepiece's `EncodeOptimized`; scores are therefore summed in f32, in the order of the text,
//! and of equal sums the first one found stays.

use std::collections::HashMap;

use super::model::{Algorithm, Model, PieceKind};
use super::normalizer::Normalizer;

/// How much less than the least probable piece a character counts that no piece covers.
const UNKNOWN_PENALTY: f32 = 10.0;
/// What a piece that must always be found counts less than its characters would at best.
const USER_DEFINED_PENALTY: f64 = 0.1;

/// A model that divides texts.
#[derive(Debug, Clone)]
pub struct Unigram {
    normalizer: Normalizer,
    pieces: HashMap<String, Entry>,
    /// Bytes of the longest piece.
    longest: usize,
    unknown_score: f32,
    /// The highest score of a piece.
    best_score: f32,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    score: f32,
    is_user_defined: bool,
}

/// The best way to a place in the text.
#[derive(Clone, Copy)]
struct Path {
    score: f32,
    /// Where the last piece of it starts.
    from: usize,
    is_known: bool,
}

impl Unigram {
    /// A model of this kind.
    ///
    /// # Errors
    /// What is not implemented, or wrong, in words.
    pub fn new(model: &Model) -> Result<Self, String> {
        if model.algorithm != Algorithm::Unigram {
            return Err("it is no unigram model".to_owned());
        }
        if model.byte_fallback {
            return Err("it writes unknown characters in bytes, which is not implemented".to_owned());
        }
        let normal = || model.pieces.iter().filter(|piece| piece.kind == PieceKind::Normal).map(|piece| piece.score);
        let (worst, best_score) = (normal().fold(f32::MAX, f32::min), normal().fold(f32::MIN, f32::max));
        let mut pieces = HashMap::new();
        for piece in &model.pieces {
            if matches!(piece.kind, PieceKind::Normal | PieceKind::UserDefined) && !piece.text.is_empty() {
                let entry = Entry { score: piece.score, is_user_defined: piece.kind == PieceKind::UserDefined };
                pieces.insert(piece.text.clone(), entry);
            }
        }
        if normal().next().is_none() {
            return Err("it has no pieces".to_owned());
        }
        let longest = pieces.keys().map(String::len).max().unwrap_or(0);
        let normalizer = Normalizer::new(model)?;
        Ok(Self { normalizer, pieces, longest, unknown_score: worst - UNKNOWN_PENALTY, best_score })
    }

    /// The pieces of a text. A run of characters that no piece covers is one.
    #[must_use]
    pub fn divide(&self, text: &str) -> Vec<String> {
        let text = self.normalizer.normalize(text);
        let paths = self.paths(&text);
        let mut pieces: Vec<(&str, bool)> = Vec::new();
        let mut end = text.len();
        while let Some(path) = paths[end] {
            pieces.push((&text[path.from..end], path.is_known));
            end = path.from;
        }
        let mut divided: Vec<String> = Vec::with_capacity(pieces.len());
        let mut in_unknown = false;
        for (piece, is_known) in pieces.into_iter().rev() {
            match divided.last_mut() {
                Some(last) if in_unknown && !is_known => last.push_str(piece),
                _ => divided.push(piece.to_owned()),
            }
            in_unknown = !is_known;
        }
        divided
    }

    /// The best way to each byte of the text where a piece may end.
    fn paths(&self, text: &str) -> Vec<Option<Path>> {
        let mut paths: Vec<Option<Path>> = vec![None; text.len() + 1];
        let offer = |path: &mut Option<Path>, from: usize, is_known: bool, score: f64| {
            if path.is_none_or(|path| score > f64::from(path.score)) {
                #[expect(clippy::cast_possible_truncation, reason = "sums are kept in f32, as the reference does")]
                let score = score as f32;
                *path = Some(Path { score, from, is_known });
            }
        };
        for (from, c) in text.char_indices() {
            let before = paths[from].map_or(0.0, |path| f64::from(path.score));
            let mut covered = false;
            for (at, c) in text[from..].char_indices() {
                let length = at + c.len_utf8();
                if length > self.longest {
                    break;
                }
                let Some(entry) = self.pieces.get(&text[from..from + length]) else { continue };
                offer(&mut paths[from + length], from, true, self.score(*entry, length) + before);
                covered |= at == 0;
            }
            if !covered {
                let score = f64::from(self.unknown_score) + before;
                offer(&mut paths[from + c.len_utf8()], from, false, score);
            }
        }
        paths
    }

    fn score(&self, entry: Entry, length: usize) -> f64 {
        if !entry.is_user_defined {
            return f64::from(entry.score);
        }
        #[expect(clippy::cast_precision_loss, reason = "the length of a piece")]
        let characters = length as f32 * self.best_score;
        f64::from(characters) - USER_DEFINED_PENALTY
    }
}

//! A Marian model: its vocabulary, its network, and how it searches.
//!
//! Invariant: a text's translation depends on the text alone.

use super::beam::{Scorer, Search};
use super::config::{GenerationConfig, MarianConfig};
use super::network::{Decoding, Network};
use super::vocabulary::{Target, Vocabulary};
use crate::tensor::Compute;
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::translation::sentences;

/// Most tokens of a part of a text, its end token included; longer sentences are divided.
const MOST_TOKENS: usize = 128;
/// Most tokens that a part is translated into: so many for each of its own, and so many more.
const GROWTH: usize = 3;
const ROOM: usize = 32;

/// A model and its vocabulary.
pub struct MarianModel {
    vocabulary: Vocabulary,
    network: Network,
    search: Search,
    most_tokens: usize,
}

impl MarianModel {
    /// Load from a folder with config.json, weights, vocab.json and source.spm, to translate into this one of its languages.
    pub fn load(folder: &Folder, target: Target<'_>, compute: &Compute) -> Result<Self> {
        let config = MarianConfig::read(folder)?;
        let search = Search::new(&config, &GenerationConfig::read(folder)?)
            .map_err(|message| Error::config(folder.name(), message))?;
        Ok(Self {
            vocabulary: Vocabulary::read(folder, &config, target)?,
            network: Network::load(folder, &config, compute)?,
            most_tokens: config.max_position_embeddings.min(MOST_TOKENS),
            search,
        })
    }

    /// The vocabulary.
    #[must_use]
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// How it searches.
    #[must_use]
    pub fn search(&self) -> &Search {
        &self.search
    }

    /// The translation of a text, sentence by sentence; empty if there is none for one that has words. `None`: `canceled` said so.
    pub fn translate(&self, text: &str, canceled: &dyn Fn() -> bool) -> Result<Option<String>> {
        let fits = |part: &str| self.vocabulary.encode(part).len() <= self.most_tokens;
        let mut translated = Vec::new();
        for part in sentences::parts(text, &fits) {
            let ids = self.vocabulary.encode(&part);
            let most = (GROWTH * ids.len() + ROOM).min(self.search.max_length);
            let search = Search { max_length: most, forced_end: true, ..self.search.clone() };
            let Some(found) = self.find(&ids, &search, canceled)? else { return Ok(None) };
            translated.push((self.vocabulary.decode(&found), part));
        }
        Ok(Some(join_translations(&translated)))
    }

    /// The ids of the translation of ids. `None`: `canceled` said so.
    pub fn find(&self, ids: &[u32], search: &Search, canceled: &dyn Fn() -> bool) -> Result<Option<Vec<u32>>> {
        let decoding = self.network.begin(&self.network.encode(ids)?)?;
        search.run(&mut Reading { network: &self.network, decoding }, canceled)
    }
}

/// The translations of a text's parts, each beside its part, as one text. It is empty if one of a part with words is: a text of which
/// something is missing is no translation.
fn join_translations(parts: &[(String, String)]) -> String {
    let is_lost =
        |(translation, part): &(String, String)| translation.is_empty() && part.chars().any(char::is_alphabetic);
    if parts.iter().any(is_lost) {
        return String::new();
    }
    parts.iter().map(|(translation, _)| translation.as_str()).collect::<Vec<_>>().join(" ")
}

/// A network that reads one text.
struct Reading<'a> {
    network: &'a Network,
    decoding: Decoding,
}

impl Scorer for Reading<'_> {
    fn step(&mut self, tokens: &[u32]) -> Result<Vec<f32>> {
        self.network.step(&mut self.decoding, tokens)
    }

    fn select(&mut self, candidates: &[u32]) -> Result<()> {
        self.decoding.select(candidates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_a_lost_sentence_has_no_translation() {
        let joined = |parts: &[(&str, &str)]| {
            let owned = |(translation, part): &(&str, &str)| ((*translation).to_owned(), (*part).to_owned());
            join_translations(&parts.iter().map(owned).collect::<Vec<_>>())
        };
        assert_eq!(joined(&[("A cat.", "Кот."), ("A fox.", "Лиса.")]), "A cat. A fox.");
        assert_eq!(joined(&[("A cat.", "Кот."), ("", "Лиса.")]), "");
        assert_eq!(joined(&[("", "42!"), ("A cat.", "Кот.")]).trim(), "A cat.");
    }
}

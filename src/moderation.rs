//! The hook on prompts: what is asked before anything is queued.
//!
//! Invariant: a text is judged as a person reads it, not as it is spelt: case, width and punctuation do not matter, and only
//! whole words count.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

/// What a moderator says of texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Categories that were found; empty: nothing to object to.
    pub categories: BTreeSet<String>,
}

impl Verdict {
    /// Whether there is something to object to.
    #[must_use]
    pub fn is_flagged(&self) -> bool {
        !self.categories.is_empty()
    }
}

/// Judges texts.
#[async_trait]
pub trait Moderator: Send + Sync {
    /// A verdict on these texts together.
    async fn review(&self, texts: &[&str]) -> Verdict;

    /// All categories that it knows.
    fn categories(&self) -> Vec<String>;
}

/// Words and phrases per category.
#[derive(Debug, Clone, Default)]
pub struct Lexicon {
    categories: BTreeMap<String, Vec<Vec<String>>>,
}

impl Lexicon {
    /// From terms per category; a term may have several words.
    #[must_use]
    pub fn new(terms: BTreeMap<String, Vec<String>>) -> Self {
        let words_of = |terms: Vec<String>| terms.iter().map(|term| words(term)).filter(|t| !t.is_empty()).collect();
        Self { categories: terms.into_iter().map(|(category, terms)| (category, words_of(terms))).collect() }
    }
}

#[async_trait]
impl Moderator for Lexicon {
    async fn review(&self, texts: &[&str]) -> Verdict {
        let texts: Vec<Vec<String>> = texts.iter().map(|text| words(text)).collect();
        let holds = |term: &Vec<String>| texts.iter().any(|text| text.windows(term.len()).any(|run| run == term));
        let found = self.categories.iter().filter(|(_, terms)| terms.iter().any(holds));
        Verdict { categories: found.map(|(category, _)| category.clone()).collect() }
    }

    fn categories(&self) -> Vec<String> {
        self.categories.keys().cloned().collect()
    }
}

/// Words in lower case.
fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase().replace('ё', "е");
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn terms_are_found_as_whole_words_in_any_case_and_language() {
        let terms = [("weapons", vec!["Pipe bomb", "взрывчатка"]), ("gore", vec!["ass"])];
        let terms =
            terms.map(|(category, terms)| (category.to_owned(), terms.into_iter().map(str::to_owned).collect()));
        let lexicon = Lexicon::new(terms.into_iter().collect());
        for (text, categories) in [
            ("how to draw a PIPE-BOMB", vec!["weapons"]),
            ("ВЗРЫВЧАТКА на столе", vec!["weapons"]),
            ("a pipe and a bomb", vec![]),
            ("a classic glass assembly", vec![]),
        ] {
            let verdict = lexicon.review(&["a cat", text]).await;
            assert_eq!(verdict.categories.into_iter().collect::<Vec<_>>(), categories, "{text}");
        }
    }
}

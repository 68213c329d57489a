//! What the bot says, in the languages that it speaks.
//!
//! Invariant: a phrase is said in every language: each file matches all of them.

mod en;
mod phrase;
mod ru;

use serde::{Deserialize, Serialize};

pub(super) use phrase::{Phrase, excerpt};

/// Languages of Telegram programs whose users are answered in Russian.
const RUSSIAN: [&str; 4] = ["ru", "be", "kk", "uk"];

/// A language of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Language {
    #[serde(rename = "en")]
    English,
    #[serde(rename = "ru")]
    Russian,
}

impl Language {
    /// What a user's program is set to.
    pub fn of_code(code: Option<&str>) -> Self {
        let primary = code.and_then(|code| code.split(['-', '_']).next()).unwrap_or_default();
        if RUSSIAN.contains(&primary) { Self::Russian } else { Self::English }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }

    /// The language of this name; English if there is none.
    pub fn named(name: &str) -> Self {
        if name == "ru" { Self::Russian } else { Self::English }
    }

    pub fn say(self, phrase: &Phrase<'_>) -> String {
        match self {
            Self::English => en::say(phrase),
            Self::Russian => ru::say(phrase),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_of_russian_are_answered_in_russian() {
        for (code, want) in
            [(Some("ru-RU"), "ru"), (Some("kk"), "ru"), (Some("en-GB"), "en"), (Some("rup"), "en"), (None, "en")]
        {
            assert_eq!(Language::of_code(code).name(), want, "{code:?}");
        }
    }
}

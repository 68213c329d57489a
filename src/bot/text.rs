//! What the bot says, in the languages that it speaks.
//!
//! Invariant: a phrase is said in every language: each file matches all of them.

mod en;
mod ru;

use serde::{Deserialize, Serialize};

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

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phrase<'a> {
    Help {
        name: &'a str,
        is_group: bool,
    },
    /// This many jobs are first.
    Line(usize),
    /// Earlier images of the same user are first.
    WaitsForYours,
    Drawing(u32),
    Starting,
    ServerAway,
    ServerBusy,
    Stopped,
    Failed(&'a str),
    Refused(&'a [String]),
    Invalid(&'a str),
    BotRefused,
    Expired,
    FileTooBig,
    FileGone,
    PromptTooLong(usize),
    ModeMissing,
    TooMany(usize),
    QuotaUsed(u32),
    NotAllowed(i64),
    Accepted,
    NotYours,
    WhatToDo,
    SendText,
    SendPhoto,
    SendPrompt,
    ReplyToPhoto,
    NothingToStop,
    StopRequested,
    Unsupported,
    UnknownCommand,
    Editor(&'a str),
    ChooseStyle,
    ChooseRatio,
    ChooseLanguage,
    StyleSet(&'a str),
    RatioSet(&'a str),
    LanguageSet,
    NoStyle,
    ModelsRatio,
    Muted,
    Unmuted,
    AdministratorsOnly,
    Seed(&'a str),
    Pick,
    PromptCut(&'a str),
    InlineTitle,
    InlineWaiting(&'a str),
    Caption {
        prompt: Option<&'a str>,
        seed: u64,
        width: u32,
        height: u32,
    },
    // Buttons.
    Again,
    Variations,
    Style,
    Ratio,
    File,
    SeedButton,
    Stop,
    Back,
    FuseText,
    FusePhoto,
    // Descriptions of commands.
    CommandDraw,
    CommandVariations,
    CommandStyle,
    CommandRatio,
    CommandLanguage,
    CommandStop,
    CommandHelp,
    Description,
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

/// The beginning of a text, at most this many of Telegram's characters, which are UTF-16 code units.
pub(super) fn excerpt(text: &str, most: usize) -> String {
    if text.encode_utf16().count() <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(1);
    let fits = |c: &char| {
        let fits = c.len_utf16() <= left;
        left = left.saturating_sub(c.len_utf16());
        fits
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_counted_as_telegram_counts() {
        assert_eq!(excerpt("heart", 5), "heart");
        assert_eq!(excerpt("hearts", 5), "hear…");
        assert_eq!(excerpt("🎨🎨🎨", 5), "🎨🎨…");
        assert_eq!(excerpt("🎨🎨🎨", 6), "🎨🎨🎨");
    }

    #[test]
    fn neighbours_of_russian_are_answered_in_russian() {
        for (code, want) in
            [(Some("ru-RU"), "ru"), (Some("kk"), "ru"), (Some("en-GB"), "en"), (Some("rup"), "en"), (None, "en")]
        {
            assert_eq!(Language::of_code(code).name(), want, "{code:?}");
        }
    }
}

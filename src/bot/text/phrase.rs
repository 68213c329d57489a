//! What there is to say, in no language yet.
//!
//! Invariant: texts of others that are said along are cut to what Telegram takes.

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bot) enum Phrase<'a> {
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
    /// What was drawn in place of the prompt.
    Translated(&'a str),
    NotTranslated,
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

/// The beginning of a text, at most this many of Telegram's characters, which are UTF-16 code units.
pub(in crate::bot) fn excerpt(text: &str, most: usize) -> String {
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
}

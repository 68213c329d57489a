//! Which texts are in a language, as far as letters tell.
//!
//! Invariant: what has no letters is in no language.

use std::ops::RangeInclusive;

/// Share of the letters that must be of the language's script, in percent.
const SHARE: usize = 30;

/// The letters of a script that is not Latin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    ranges: &'static [RangeInclusive<char>],
}

const CYRILLIC: Script = Script {
    ranges: &['\u{400}'..='\u{52f}', '\u{1c80}'..='\u{1c8f}', '\u{2de0}'..='\u{2dff}', '\u{a640}'..='\u{a69f}'],
};
const GREEK: Script = Script { ranges: &['\u{370}'..='\u{3ff}', '\u{1f00}'..='\u{1fff}'] };
const ARABIC: Script = Script {
    ranges: &[
        '\u{600}'..='\u{6ff}',
        '\u{750}'..='\u{77f}',
        '\u{8a0}'..='\u{8ff}',
        '\u{fb50}'..='\u{fdff}',
        '\u{fe70}'..='\u{fefc}',
    ],
};
const HEBREW: Script = Script { ranges: &['\u{590}'..='\u{5ff}', '\u{fb1d}'..='\u{fb4f}'] };
const CHINESE: Script = Script {
    ranges: &['\u{3400}'..='\u{4dbf}', '\u{4e00}'..='\u{9fff}', '\u{f900}'..='\u{faff}', '\u{20000}'..='\u{323af}'],
};
const JAPANESE: Script = Script {
    ranges: &[
        '\u{3040}'..='\u{30ff}',
        '\u{31f0}'..='\u{31ff}',
        '\u{3400}'..='\u{4dbf}',
        '\u{4e00}'..='\u{9fff}',
        '\u{ff66}'..='\u{ff9d}',
    ],
};
const KOREAN: Script = Script { ranges: &['\u{1100}'..='\u{11ff}', '\u{3130}'..='\u{318f}', '\u{ac00}'..='\u{d7a3}'] };
const DEVANAGARI: Script = Script { ranges: &['\u{900}'..='\u{97f}'] };
const BENGALI: Script = Script { ranges: &['\u{980}'..='\u{9ff}'] };
const TAMIL: Script = Script { ranges: &['\u{b80}'..='\u{bff}'] };
const THAI: Script = Script { ranges: &['\u{e00}'..='\u{e7f}'] };
const GEORGIAN: Script = Script { ranges: &['\u{10a0}'..='\u{10ff}', '\u{1c90}'..='\u{1cbf}'] };
const ARMENIAN: Script = Script { ranges: &['\u{530}'..='\u{58f}'] };

/// Languages by their codes (ISO 639-1), with their scripts.
const LANGUAGES: [(&str, Script); 29] = [
    ("ar", ARABIC),
    ("be", CYRILLIC),
    ("bg", CYRILLIC),
    ("bn", BENGALI),
    ("el", GREEK),
    ("fa", ARABIC),
    ("he", HEBREW),
    ("hi", DEVANAGARI),
    ("hy", ARMENIAN),
    ("ja", JAPANESE),
    ("ka", GEORGIAN),
    ("kk", CYRILLIC),
    ("ko", KOREAN),
    ("ky", CYRILLIC),
    ("mk", CYRILLIC),
    ("mn", CYRILLIC),
    ("mr", DEVANAGARI),
    ("ne", DEVANAGARI),
    ("ru", CYRILLIC),
    ("sr", CYRILLIC),
    ("ta", TAMIL),
    ("tg", CYRILLIC),
    ("th", THAI),
    ("tt", CYRILLIC),
    ("uk", CYRILLIC),
    ("ur", ARABIC),
    ("zh", CHINESE),
    ("zle", CYRILLIC),
    ("zls", CYRILLIC),
];

impl Script {
    /// The script of a language. `None`: it is written in Latin letters, or is not known.
    #[must_use]
    pub fn of(language: &str) -> Option<Self> {
        LANGUAGES.iter().find(|(code, _)| *code == language).map(|(_, script)| *script)
    }

    /// Whether more than 30 % of a text's letters are of this script.
    #[must_use]
    pub fn prevails_in(self, text: &str) -> bool {
        let letters = text.chars().filter(|c| c.is_alphabetic());
        let (own, all) = letters.fold((0, 0), |(own, all), c| (own + usize::from(self.has(c)), all + 1));
        own * 100 > all * SHARE
    }

    fn has(self, c: char) -> bool {
        self.ranges.iter().any(|range| range.contains(&c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_russian_if_enough_of_its_letters_are() {
        let russian = Script::of("ru").unwrap();
        for text in ["кот", "Ёлка, 3D render", "портрет в стиле Van Gogh, масло", "кот cat"]
        {
            assert!(russian.prevails_in(text), "{text}");
        }
        for text in ["a cat", "", "12:30 !?", "🐱", "the word «кот» on a sign in the street", "γάτα", "猫"]
        {
            assert!(!russian.prevails_in(text), "{text}");
        }
        assert!(Script::of("ja").unwrap().prevails_in("赤いハート") && Script::of("de").is_none());
    }
}

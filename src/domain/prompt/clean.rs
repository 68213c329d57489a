//! Prompts without what cannot be seen.
//!
//! Texts that are copied from web pages and word processors bring byte order marks, zero-width and soft hyphens, marks of
//! direction, exotic spaces and letters in pieces. A tokenizer sees all of them, a person none.
//!
//! Invariant: two texts that look alike because they differ in such characters only are cleaned to the same one; characters that a
//! script or an emoji needs to look as it does stay.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};

const ZERO_WIDTH_SPACE: char = '\u{200b}';
const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
/// What the tags of a region's flag follow.
const BLACK_FLAG: char = '\u{1f3f4}';

/// The text in composed form (NFC), without invisible characters, and with a plain space for every other one.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len());
    let mut rest = text.chars();
    let mut in_flag = false;
    while let Some(c) = rest.next() {
        in_flag = c == BLACK_FLAG || (in_flag && is_tag(c));
        if c.is_whitespace() || c == '\u{2800}' {
            seen.push(' ');
        } else if let Some(narrow) = narrow(c) {
            seen.push(narrow);
        } else if !is_invisible(c) || (in_flag && is_tag(c)) || is_needed(c, seen.chars().next_back(), &rest) {
            seen.push(c);
        }
    }
    let composed = if is_nfc(&seen) { seen } else { seen.nfc().collect() };
    if composed == text { Cow::Borrowed(text) } else { Cow::Owned(composed) }
}

/// The plain letter or digit that a full-width one is, as keyboards for Chinese and Japanese write them.
fn narrow(c: char) -> Option<char> {
    let plain = char::from_u32(u32::from(c).checked_sub(0xfee0)?)?;
    plain.is_ascii_alphanumeric().then_some(plain)
}

/// Whether there is nothing to read in a text.
#[must_use]
pub fn is_blank(text: &str) -> bool {
    clean(text).trim().is_empty()
}

/// Whether nothing of a character is drawn.
fn is_invisible(c: char) -> bool {
    match c {
        // Signs that are drawn around numbers and hieroglyphs, although Unicode counts them as format characters.
        '\u{600}'..='\u{605}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{890}'
        | '\u{891}'
        | '\u{8e2}'
        | '\u{110bd}'
        | '\u{110cd}'
        | '\u{13430}'..='\u{1345f}' => false,
        // Grapheme joiner, fillers, vowels that are not written, selectors of variants, the object of a word processor.
        '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2065}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffc}'
        | '\u{e0000}'..='\u{e0fff}'
        // No characters at all.
        | '\u{fdd0}'..='\u{fdef}' => true,
        _ => {
            matches!(c.general_category(), GeneralCategory::Control | GeneralCategory::Format)
                || u32::from(c) & 0xfffe == 0xfffe
        }
    }
}

fn is_tag(c: char) -> bool {
    ('\u{e0020}'..='\u{e007f}').contains(&c)
}

/// Whether an invisible character changes how those around it are read.
fn is_needed(c: char, before: Option<char>, rest: &std::str::Chars<'_>) -> bool {
    let after = rest.clone().find(|c| !is_invisible(*c));
    let (Some(before), Some(after)) = (before, after) else { return false };
    match c {
        JOINER if is_drawing(before) && is_drawing(after) => true,
        JOINER | NON_JOINER => joins_letters(before) && joins_letters(after),
        // Scripts without spaces end a word with it.
        ZERO_WIDTH_SPACE => is_written_without_spaces(before) && is_written_without_spaces(after),
        _ => false,
    }
}

/// Whether a character may be a part of an emoji.
fn is_drawing(c: char) -> bool {
    matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}' | '\u{2190}'..='\u{2bff}')
        || matches!(c, '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

/// Whether letters of this one's script are drawn otherwise when they are joined: Arabic and its kin, those of India, Mongolian.
fn joins_letters(c: char) -> bool {
    matches!(c, '\u{600}'..='\u{dff}' | '\u{f00}'..='\u{109f}' | '\u{1780}'..='\u{18af}')
        || matches!(c, '\u{a840}'..='\u{a87f}' | '\u{fb50}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
}

fn is_written_without_spaces(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{1950}'..='\u{19df}' | '\u{1a20}'..='\u{1aaf}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_changes_nothing() {
        for (sent, read) in [
            ("\u{feff}red heart", "red heart"),
            ("red\u{a0}heart\u{202f}on\u{3000}blue\u{2009}", "red heart on blue "),
            ("r\u{ad}ed he\u{200b}a\u{200c}r\u{200d}t\u{2060}", "red heart"),
            ("\u{202b}red\u{202c} \u{2066}heart\u{2069}\u{200e}\u{200f}\u{61c}", "red heart"),
            ("red\u{0} he\u{1b}art\u{7f}\u{9c}", "red heart"),
            ("red\theart\r\non\u{85}blue\u{2028}", "red heart  on blue "),
            ("♥\u{fe0f} ❤\u{fe0e}", "♥ ❤"),
            ("крас\u{ad}ныи\u{306} е\u{308}ж", "красный ёж"),
            ("и\u{200b}\u{306}", "й"),
            ("cafe\u{301}", "café"),
            ("re\u{34f}d\u{e0001}\u{e0041}\u{fffc}\u{ffff}", "red"),
            ("한\u{3164}글", "한글"),
            ("ｒｅｄ　Ｈｅａｒｔ １２，赤", "red Heart 12，赤"),
        ] {
            assert_eq!(clean(sent), read, "{sent:?}");
        }
    }

    #[test]
    fn what_a_script_or_an_emoji_needs_stays() {
        for text in [
            "семья 👨\u{200d}👩\u{200d}👧, 👩🏽\u{200d}🚀",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "ไทย\u{200b}ภาษา",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            "красный ёжик, naïve café, 猫",
        ] {
            assert!(matches!(clean(text), Cow::Borrowed(_)), "{text:?}");
        }
        // The selector goes, the joiner stays.
        assert_eq!(clean("❤\u{fe0f}\u{200d}🔥"), "❤\u{200d}🔥");
    }

    #[test]
    fn a_text_of_nothing_to_read_is_blank() {
        assert!(["", " ", "\u{feff}", "\u{200b}\u{a0}\n"].into_iter().all(is_blank));
        assert!(!is_blank("."));
    }
}

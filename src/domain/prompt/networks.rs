//! Requests for networks that a prompt names: `<lora:name:0.8>`, `embedding:name`. There are none here.
//!
//! Invariant: what names a network is not drawn, and the text around it reads as if it had never been there.

use std::borrow::Cow;
use std::ops::Range;

/// Longest name of a network, bytes.
const LONGEST: usize = 200;
/// What ComfyUI writes before the name of an embedding.
const EMBEDDING: &str = "embedding:";

/// The text without networks, and what named them.
pub(super) fn strip(text: &str) -> (Cow<'_, str>, Vec<&str>) {
    let mut kept = String::new();
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(range) = next(rest) {
        kept.push_str(&rest[..range.start]);
        found.push(&rest[range.clone()]);
        rest = &rest[range.end..];
        // A list loses the entry with its comma.
        let (end, after) = (kept.trim_end_matches(' ').len(), rest.trim_start_matches(' '));
        let stands_alone = end == 0 || kept[..end].ends_with(',');
        if let (true, Some(after)) = (stands_alone, after.strip_prefix(',')) {
            kept.truncate(end);
            rest = if end == 0 { after.trim_start_matches(' ') } else { after };
        } else if stands_alone && after.is_empty() {
            kept.truncate(kept.trim_end_matches([',', ' ']).len());
            rest = after;
        } else if kept.ends_with(' ') && (rest.starts_with(' ') || after.starts_with([',', '.']) || after.is_empty()) {
            kept.truncate(end);
        }
    }
    if found.is_empty() {
        return (Cow::Borrowed(text), found);
    }
    kept.push_str(rest);
    (Cow::Owned(kept.trim().to_owned()), found)
}

/// Where the next one stands.
fn next(text: &str) -> Option<Range<usize>> {
    let mut from = 0;
    while let Some(at) = text[from..].find(['<', 'e', 'E', '(']).map(|at| from + at) {
        let length = match text.as_bytes()[at] {
            b'<' => angled(&text[at..]),
            b'(' => bracketed_embedding(&text[at..]),
            // Not the end of another word.
            _ if text[..at].chars().next_back().is_some_and(char::is_alphanumeric) => None,
            _ => embedding(&text[at..]),
        };
        if let Some(length) = length {
            return Some(at..at + length);
        }
        from = at + 1;
    }
    None
}

/// Bytes of `<kind:name:weight>`, or of a learned token such as `<cat-toy>`.
fn angled(text: &str) -> Option<usize> {
    let end = text.char_indices().take_while(|(at, _)| *at <= LONGEST).find(|(_, c)| *c == '>')?.0;
    let inside = &text[1..end];
    let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let is_token = inside.starts_with(char::is_alphanumeric) && inside.chars().all(name);
    let has_kind = inside.split_once(':').is_some_and(|(kind, rest)| {
        !kind.is_empty() && !rest.is_empty() && kind.trim().chars().all(|c| c.is_alphanumeric() || c == '_')
    });
    ((is_token || has_kind) && !inside.contains('<')).then_some(end + 1)
}

/// Bytes of `embedding:name`.
fn embedding(text: &str) -> Option<usize> {
    let start = text.get(..EMBEDDING.len()).filter(|start| start.eq_ignore_ascii_case(EMBEDDING))?.len();
    let name = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let length: usize = text[start..].chars().take_while(name).map(char::len_utf8).sum();
    let length = text[start..start + length].trim_end_matches('.').len();
    (length > 0).then_some(start + length)
}

/// Bytes of `(embedding:name)` or `(embedding:name:1.2)`.
fn bracketed_embedding(text: &str) -> Option<usize> {
    let end = 1 + embedding(&text[1..])?;
    let rest = &text[end..];
    let close = rest.find(')')?;
    let weight = rest[..close].trim();
    let is_weight =
        weight.is_empty() || weight.strip_prefix(':').is_some_and(|number| number.trim().parse::<f32>().is_ok());
    is_weight.then_some(end + close + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_leave_no_trace() {
        for (sent, read) in [
            ("panda <lora:bears_v2:0.8>", "panda"),
            ("<lora:bears:1> panda", "panda"),
            ("panda, <lora:bears:1>", "panda"),
            ("panda, <lora:bears:1>, on yellow", "panda, on yellow"),
            ("<lora:a:1>, <lycoris:b:0.5:0.5>, panda", "panda"),
            ("a <cat-toy> on a table", "a on a table"),
            ("a <hypernet:dog:1>.", "a."),
            ("panda, embedding:easynegative", "panda"),
            ("(embedding:bad-hands-5:1.2), blurry", "blurry"),
            ("<lora:a:1>", ""),
            ("<lora:мишка:1>панда", "панда"),
        ] {
            let (kept, found) = strip(sent);
            assert!(!found.is_empty() && kept == read, "{sent:?}: {kept:?}");
        }
    }

    #[test]
    fn other_angles_and_words_stay() {
        for text in
            ["i <3 cats", "a < b > c", "<|endoftext|>", "an embedding of words", "<>", "<lora:", "embedding: a", "<:a>"]
        {
            assert_eq!(strip(text), (Cow::Borrowed(text), Vec::new()), "{text:?}");
        }
    }
}

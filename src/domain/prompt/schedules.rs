//! Syntax of AUTOMATIC1111 that changes a prompt between steps or divides it: `[cat:dog:0.5]`, `[cat|dog]`, `AND`, `BREAK`. Here
//! one text is drawn from the first step to the last.
//!
//! Invariant: of what alternates, one side is drawn; the syntax itself never is.

use std::borrow::Cow;

/// A number above 1 says after how many steps the text changes; how many there are in all is not known here.
const USUAL_STEPS: f32 = 50.0;

/// The text that is drawn, and whether anything was left out of it.
pub(super) fn resolve(text: &str) -> (Cow<'_, str>, bool) {
    let mut resolved = Cow::Borrowed(text);
    // From the inside out; each turn takes away a bracket.
    while let Some(shorter) = resolve_one(&resolved) {
        resolved = Cow::Owned(shorter);
    }
    let joined = join_parts(&resolved).map(Cow::Owned);
    let changed = joined.is_some() || matches!(resolved, Cow::Owned(_));
    (joined.unwrap_or(resolved), changed)
}

/// The text with its first innermost schedule replaced by what is drawn of it.
fn resolve_one(text: &str) -> Option<String> {
    let mut open = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => open = Some(at),
            ']' => {
                if let Some(start) = open.take()
                    && let Some(drawn) = drawn_of(&text[start + 1..at])
                {
                    return Some(format!("{}{drawn}{}", &text[..start], &text[at + 1..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// What is drawn of the inside of square brackets, if that is a schedule.
fn drawn_of(inside: &str) -> Option<&str> {
    if let Some((first, _)) = inside.split_once('|') {
        return Some(first);
    }
    let (texts, when) = inside.rsplit_once(':')?;
    let when: f32 = when.trim().parse().ok()?;
    // `[to:when]` adds a text, `[from::when]` takes one away.
    let (from, to) = texts.split_once(':').unwrap_or(("", texts));
    let share = if when > 1.0 { when / USUAL_STEPS } else { when };
    Some(if share >= 0.5 { from } else { to })
}

/// The text with commas for the words that divide it.
fn join_parts(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split(' ').collect();
    let divides = |word: &str| matches!(word, "AND" | "BREAK");
    // Texts in capitals have words in capitals.
    let in_capitals = !text.chars().any(char::is_lowercase);
    if in_capitals || !words.iter().any(|word| divides(word)) {
        return None;
    }
    let mut joined = String::with_capacity(text.len());
    for word in words {
        if divides(word) {
            joined.truncate(joined.trim_end_matches([' ', ',']).len());
            joined.push(',');
        } else {
            if !joined.is_empty() {
                joined.push(' ');
            }
            joined.push_str(word);
        }
    }
    Some(joined.trim_matches([' ', ',']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_alternates_one_side_is_drawn() {
        for (sent, read) in [
            ("a [cat:dog:0.7] on a mat", "a cat on a mat"),
            ("a [cat:dog:0.2] on a mat", "a dog on a mat"),
            ("a [cat:dog:10] on a mat", "a dog on a mat"),
            ("a [red|blue|green] ball", "a red ball"),
            ("a ball[, on fire:0.3]", "a ball, on fire"),
            ("a [big::0.8] ball", "a big ball"),
            ("a [[red|blue] cat:dog:0.9]", "a red cat"),
            ("a cat AND a dog", "a cat, a dog"),
            ("a cat BREAK a dog, BREAK", "a cat, a dog"),
        ] {
            assert_eq!(resolve(sent), (Cow::Borrowed(read), true), "{sent}");
        }
        for text in ["a [word]", "A CAT AND A DOG", "[a: b]", "a \\[b|c\\]", "a | b"] {
            assert_eq!(resolve(text), (Cow::Borrowed(text), false), "{text}");
        }
    }
}

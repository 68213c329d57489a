//! Long texts in parts that a translator can read: models of sentences forget what comes after the first one.
//!
//! Invariant: the parts, one after the other, hold every word of the text.

/// What ends a sentence if a space follows.
const ENDS: [char; 5] = ['.', '!', '?', '…', ';'];

/// The sentences of a text, without the spaces around them. One that is longer than `fits` allows is divided behind a comma, or else
/// between words, or else anywhere.
pub(super) fn parts(text: &str, fits: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut parts = Vec::new();
    for sentence in sentences(text) {
        let mut rest = sentence;
        while !rest.is_empty() {
            let length = if fits(rest) { rest.len() } else { longest_beginning(rest, fits) };
            let (part, behind) = rest.split_at(length);
            parts.push(part.trim().to_owned());
            rest = behind.trim_start();
        }
    }
    parts
}

fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut after_end = false;
    for (at, c) in text.char_indices() {
        if c == '\n' || (after_end && c.is_whitespace()) {
            found.push(text[start..at].trim());
            start = at;
        }
        after_end = ENDS.contains(&c);
    }
    found.push(text[start..].trim());
    found.retain(|sentence| !sentence.is_empty());
    found
}

/// The length of a beginning that fits, as long as possible: up to a comma, else up to a space, else up to a character.
fn longest_beginning(text: &str, fits: &dyn Fn(&str) -> bool) -> usize {
    let ends_at = |is_end: &dyn Fn(char) -> bool| -> Vec<usize> {
        text.char_indices().filter(|(_, c)| is_end(*c)).map(|(at, c)| at + c.len_utf8()).collect()
    };
    let candidates = [ends_at(&|c| c == ','), ends_at(&char::is_whitespace), ends_at(&|_| true)];
    for ends in candidates {
        // What fits grows with nothing but length, so the last one that does is found by halving.
        let count = ends.partition_point(|end| fits(text[..*end].trim()));
        if let Some(end) = count.checked_sub(1).and_then(|last| ends.get(last)) {
            return *end;
        }
    }
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(text: &str, most: usize) -> Vec<String> {
        parts(text, &|part| part.chars().count() <= most)
    }

    #[test]
    fn sentences_are_apart_and_numbers_are_not() {
        assert_eq!(divided("Лиса в лесу. Утро!  Туман", 99), ["Лиса в лесу.", "Утро!", "Туман"]);
        assert_eq!(divided("версия 2.1, масло", 99), ["версия 2.1, масло"]);
        assert_eq!(divided("кот\nпёс", 99), ["кот", "пёс"]);
        assert_eq!(divided(" ", 99), [""; 0]);
    }

    #[test]
    fn what_is_too_long_is_divided_where_it_hurts_least() {
        assert_eq!(divided("кот, пёс, лиса", 9), ["кот, пёс,", "лиса"]);
        assert_eq!(divided("рыжая лиса бежит", 11), ["рыжая лиса", "бежит"]);
        assert_eq!(divided("ааааааа", 3), ["ааа", "ааа", "а"]);
    }
}

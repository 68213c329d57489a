//! Short forms of what callers send, for messages.
//!
//! Invariant: a message is short and printable whatever it quotes.

/// Most characters that are quoted of a value.
const MAX_QUOTED: usize = 60;

/// The beginning of a text, without characters that do not print.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let mut characters = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut start: String = characters.by_ref().take(MAX_QUOTED).collect();
    if characters.next().is_some() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_unprintable_texts_become_short_and_printable() {
        assert_eq!(excerpt("dall-e-9"), "dall-e-9");
        assert_eq!(excerpt("a\0b\n"), "a\u{fffd}b\u{fffd}");
        assert_eq!(excerpt(&"ж".repeat(1000)).chars().count(), MAX_QUOTED + 1);
    }
}

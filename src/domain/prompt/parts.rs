//! Prompts taken apart into what counts alike, and put together again.
//!
//! Invariant: parts that are written in a syntax are read in it as the same text with the same weights.

use super::syntax::PromptSyntax;
use super::text::PromptText;

impl PromptText {
    /// The parts of the text that count alike, in order, with how often they count.
    #[must_use]
    pub fn parts(&self) -> Vec<(&str, f32)> {
        let text = self.as_str();
        let mut parts: Vec<(&str, f32)> = Vec::new();
        let mut start = 0;
        for (at, c) in text.char_indices() {
            let end = at + c.len_utf8();
            let weight = self.weight_at(at);
            let goes_on = text[end..].chars().next().is_some() && self.weight_at(end).to_bits() == weight.to_bits();
            if !goes_on {
                parts.push((&text[start..end], weight));
                start = end;
            }
        }
        parts
    }
}

/// The text of parts that count so often, in a syntax. Without one, all count once.
#[must_use]
pub fn write_parts(parts: &[(String, f32)], syntax: PromptSyntax) -> String {
    let write = |(text, weight): &(String, f32)| match syntax {
        PromptSyntax::Plain => text.clone(),
        PromptSyntax::Weights if (weight - 1.0).abs() < f32::EPSILON => escape(text),
        PromptSyntax::Weights => format!("({}:{weight})", escape(text)),
    };
    parts.iter().map(write).collect()
}

/// A text whose brackets are read as such.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '(' | ')' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_it_was() {
        for text in ["a (red:1.3) \\(round\\) ((ball)) on [grass]", "plain", "(:1.2)", "", "((большой)) кот, (лес:0.5)"]
        {
            let read = PromptText::read(text, PromptSyntax::Weights);
            let parts: Vec<(String, f32)> = read.parts().into_iter().map(|(part, w)| (part.to_owned(), w)).collect();
            let written = write_parts(&parts, PromptSyntax::Weights);
            assert_eq!(PromptText::read(&written, PromptSyntax::Weights), read, "{text}: {written}");
        }
        let read = PromptText::plain("a (red:1.3) ball");
        assert_eq!(read.parts(), [("a (red:1.3) ball", 1.0)]);
    }
}

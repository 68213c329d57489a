//! The weights in a prompt, as AUTOMATIC1111's web UI reads them: `(word)` counts 1.1 times, `(word:1.3)` 1.3 times, `[word]`
//! 1/1.1 times; brackets within brackets multiply, `\(` is a bracket of the text, and one that is left open reaches to the end.
//!
//! Invariant: every text can be read; a bracket that closes nothing is a part of the text.

use super::text::PromptText;

const ROUND: f64 = 1.1;
const SQUARE: f64 = 1.0 / 1.1;
/// Of one number; products are bounded when they are stored.
const MOST: f64 = 1000.0;

/// Parts with their weights, and where brackets that are still open began.
#[derive(Default)]
struct Parser {
    parts: Vec<(String, f64)>,
    round: Vec<usize>,
    square: Vec<usize>,
}

/// Read a text with weights.
pub(super) fn parse(text: &str) -> PromptText {
    let mut parser = Parser::default();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut read = c.len_utf8();
        match c {
            '\\' => {
                let escaped = rest[1..].chars().next().filter(|c| matches!(c, '(' | ')' | '[' | ']' | '\\'));
                read += escaped.map_or(0, char::len_utf8);
                parser.push(escaped.unwrap_or(c));
            }
            '(' | '[' => parser.open(c),
            ':' if !parser.round.is_empty() && weight(rest).is_some() => {
                if let (Some((weight, length)), Some(start)) = (weight(rest), parser.round.pop()) {
                    parser.multiply(start, weight);
                    read = length;
                }
            }
            ')' if !parser.round.is_empty() => parser.close(c),
            ']' if !parser.square.is_empty() => parser.close(c),
            _ => parser.push(c),
        }
        rest = &rest[read..];
    }
    parser.finish()
}

/// The number of `:1.3)`, and how many bytes that takes.
fn weight(text: &str) -> Option<(f64, usize)> {
    let end = text.find(')')?;
    let number = text[1..end].trim();
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'+' | b'-'));
    let weight = if is_number { number.parse::<f64>().ok()? } else { return None };
    Some((weight.clamp(-MOST, MOST), end + 1))
}

impl Parser {
    /// Begin a part.
    fn begin(&mut self) -> usize {
        self.parts.push((String::new(), 1.0));
        self.parts.len() - 1
    }

    fn open(&mut self, c: char) {
        let start = self.begin();
        let open = if c == '(' { &mut self.round } else { &mut self.square };
        open.push(start);
    }

    fn push(&mut self, c: char) {
        if self.parts.is_empty() {
            self.begin();
        }
        if let Some((part, _)) = self.parts.last_mut() {
            part.push(c);
        }
    }

    fn close(&mut self, c: char) {
        let (open, factor) = if c == ')' { (&mut self.round, ROUND) } else { (&mut self.square, SQUARE) };
        if let Some(start) = open.pop() {
            self.multiply(start, factor);
        }
    }

    /// Multiply all parts from `start` on, and begin a new one.
    fn multiply(&mut self, start: usize, factor: f64) {
        self.parts[start..].iter_mut().for_each(|(_, weight)| *weight *= factor);
        self.begin();
    }

    fn finish(mut self) -> PromptText {
        while !self.round.is_empty() {
            self.close(')');
        }
        while !self.square.is_empty() {
            self.close(']');
        }
        let mut read = PromptText::default();
        self.parts.iter().for_each(|(part, weight)| read.push(part, *weight));
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of equal weight, in hundredths.
    fn parts(text: &str) -> Vec<(String, i32)> {
        let read = parse(text);
        let mut parts: Vec<(String, i32)> = Vec::new();
        for (at, c) in read.as_str().char_indices() {
            #[expect(clippy::cast_possible_truncation, reason = "a few hundredths")]
            let weight = (read.weight_at(at) * 100.0).round() as i32;
            match parts.last_mut() {
                Some((part, last)) if *last == weight => part.push(c),
                _ => parts.push((c.to_string(), weight)),
            }
        }
        parts
    }

    #[test]
    fn brackets_are_read_as_their_users_mean_them() {
        // The examples of the web UI's own parser, and what people write.
        for (text, want) in [
            ("normal text", vec![("normal text", 100)]),
            ("an (important) word", vec![("an ", 100), ("important", 110), (" word", 100)]),
            ("(unbalanced", vec![("unbalanced", 110)]),
            (r"\(literal\]", vec![("(literal]", 100)]),
            ("(unnecessary)(parens)", vec![("unnecessaryparens", 110)]),
            (
                "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
                vec![
                    ("a ", 100),
                    ("house", 157),
                    (" ", 110),
                    ("on", 100),
                    (" a ", 110),
                    ("hill", 55),
                    (", sun, ", 110),
                    ("sky", 146),
                    (".", 110),
                ],
            ),
            ("((панда)) на [фоне]", vec![("панда", 121), (" на ", 100), ("фоне", 91)]),
            ("a (b: 1.25 ) c", vec![("a ", 100), ("b", 125), (" c", 100)]),
            ("time 12:30) :) ]", vec![("time 12:30) :) ]", 100)]),
            ("(a:b) (c:1.2.3)", vec![("a:b", 110), (" ", 100), ("c:1.2.3", 110)]),
            ("(gone:0) (much:99) (less:-2)", vec![("gone", 0), (" ", 100), ("much", 1000), (" ", 100), ("less", 0)]),
            (r"C:\path \\ \", vec![(r"C:\path \ \", 100)]),
        ] {
            let want: Vec<(String, i32)> = want.into_iter().map(|(part, weight)| (part.to_owned(), weight)).collect();
            assert_eq!(parts(text), want, "{text}");
        }
    }

    #[test]
    fn weights_of_one_make_the_plain_text() {
        assert_eq!(parse("(panda:1.0) on (a:1) hill"), PromptText::plain("panda on a hill"));
        assert!(parse("").is_plain() && parse("()[]").as_str().is_empty());
    }

    #[test]
    fn texts_of_brackets_alone_are_read_in_time() {
        let deep = "(".repeat(4000);
        assert_eq!(parse(&deep).as_str(), "");
        assert!((parse(&format!("{deep}a")).weight_at(0) - 10.0).abs() < 1e-6);
        assert!(parse(&format!("{}a", "[".repeat(4000))).weight_at(0).abs() < 1e-6);
    }
}

//! Syntax that other programs have in their prompts, and that nothing here reads: `--ar 16:9`, `{panda}`, `__animal__`,
//! `(panda)1.3`, `panda++`, `/imagine prompt:`.
//!
//! Invariant: what is found is as the text has it, and a text that people write for people has none.

/// Longest excerpt of a text, characters.
const LONGEST: usize = 30;

/// What a text has of it, in order, at most `most` of them.
pub(super) fn find(text: &str, most: usize) -> Vec<String> {
    let command = text.trim_start().starts_with("/imagine").then_some("/imagine");
    let words =
        text.split_whitespace().map(|word| word.trim_end_matches([',', '.', ';'])).filter(|word| is_foreign(word));
    command
        .into_iter()
        .chain(words)
        .chain(braces(text))
        .take(most)
        .map(|found| found.chars().take(LONGEST).collect())
        .collect()
}

fn is_foreign(word: &str) -> bool {
    let is_flag = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let is_wildcard = word.len() > 4 && word.starts_with("__") && word.ends_with("__");
    word.strip_prefix("--").is_some_and(is_flag) || is_wildcard || is_weighted(word)
}

/// `(panda)1.3`, `(panda)++` and `panda++`, but not `C++`.
fn is_weighted(word: &str) -> bool {
    if let Some(at) = word.rfind(')') {
        let weight = &word[at + 1..];
        return weight.starts_with("++")
            || weight.starts_with("--")
            || (weight.contains('.') && weight.parse::<f32>().is_ok());
    }
    let stem = word.trim_end_matches('+');
    word.len() - stem.len() >= 2 && stem.chars().filter(|c| c.is_alphabetic()).count() > 2
}

/// The first braces and what is in them.
fn braces(text: &str) -> Option<&str> {
    let start = text.find('{')?;
    let end = text[start..].find('}')?;
    Some(&text[start..=start + end])
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn what_other_programs_read_is_found() {
        for (text, found) in [
            ("panda --ar 16:9 --v 5", vec!["--ar", "--v"]),
            ("/imagine prompt: a panda", vec!["/imagine"]),
            ("a {red|blue} panda", vec!["{red|blue}"]),
            ("{панда} на лугу", vec!["{панда}"]),
            ("an __animal__, on yellow", vec!["__animal__"]),
            ("a (panda)1.3 and a (cat)++", vec!["(panda)1.3", "(cat)++"]),
            ("panda++ on yellow", vec!["panda++"]),
        ] {
            assert_eq!(find(text, 5), found, "{text}");
        }
        assert_eq!(find(&"--ar ".repeat(9), 5).len(), 5);
    }

    #[test]
    fn plain_texts_have_none() {
        for text in [
            "a book on C++",
            "rock -- paper",
            "a cat--dog",
            "-- --",
            "snake__case",
            "{ open",
            "(1920)",
            "a (b)-c",
            "5++",
            "либо/или",
        ] {
            assert!(find(text, 5).is_empty(), "{text}");
        }
    }
}

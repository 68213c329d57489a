//! What is said of a prompt's syntax.
//!
//! Invariant: a prompt without syntax gets no warning.

use super::clean::clean;
use super::syntax::PromptSyntax;
use super::{foreign, networks, schedules};
use crate::domain::warning::{Warning, WarningCode};

/// Most that a warning names.
const NAMED: usize = 5;

/// What is to be said of the text at `pointer`, as it was sent.
#[must_use]
pub fn prompt_warnings(text: &str, syntax: PromptSyntax, pointer: &str) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let cleaned = clean(text);
    let (text, networks) = networks::strip(&cleaned);
    if !networks.is_empty() {
        let names = networks[..networks.len().min(NAMED)].join(", ");
        let message = format!("extra networks and embeddings are not supported and were left out: {names}");
        warnings.push(Warning::new(WarningCode::PromptSyntaxUnsupported, message).at(pointer));
    }
    match syntax {
        PromptSyntax::Plain if has_weights(&text) => {
            let message = "brackets are read as text here; with \"prompt_syntax\": \"weights\" they weight words";
            warnings.push(Warning::new(WarningCode::PromptSyntaxNotRead, message).at(pointer));
        }
        PromptSyntax::Weights if schedules::resolve(&text).1 => {
            let message = "changes between steps and divided prompts ([a:b:0.5], [a|b], AND, BREAK) are not supported: one text \
                was drawn";
            warnings.push(Warning::new(WarningCode::PromptSyntaxUnsupported, message).at(pointer));
        }
        PromptSyntax::Plain | PromptSyntax::Weights => {}
    }
    let foreign = foreign::find(&text, NAMED);
    if !foreign.is_empty() {
        let message = format!("what other programs read as syntax is text here: {}", foreign.join(", "));
        warnings.push(Warning::new(WarningCode::PromptSyntaxNotRead, message).at(pointer));
    }
    warnings
}

/// Whether a text looks as if its brackets were weights. Round ones alone are found in plain texts, too.
fn has_weights(text: &str) -> bool {
    let number = |rest: &str| {
        let end = rest.find(')').unwrap_or(0);
        rest[..end].trim().parse::<f32>().is_ok()
    };
    let weighted = text.contains('(') && text.split(':').skip(1).any(number);
    let square = text.find('[').is_some_and(|at| text[at..].contains(']'));
    weighted || square || ["((", "\\(", "\\)", "\\["].iter().any(|sign| text.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str, syntax: PromptSyntax) -> Vec<&'static str> {
        prompt_warnings(text, syntax, "/prompt").iter().map(|warning| warning.code.name()).collect()
    }

    #[test]
    fn syntax_is_reported_where_it_is_not_done() {
        for text in ["(panda:1.3) on yellow", "((panda))", "a [panda]", r"a \(panda\)", "(панда: 1.2)"] {
            assert_eq!(codes(text, PromptSyntax::Plain), ["prompt_syntax_not_read"], "{text}");
            assert_eq!(codes(text, PromptSyntax::Weights), [""; 0], "{text}");
        }
        for text in ["a [cat|dog]", "a [cat:dog:0.5]", "a cat AND a dog"] {
            assert_eq!(codes(text, PromptSyntax::Weights), ["prompt_syntax_unsupported"], "{text}");
        }
        for text in ["a panda --ar 16:9", "a {red|blue} panda", "(panda)1.3"] {
            for syntax in [PromptSyntax::Plain, PromptSyntax::Weights] {
                assert_eq!(codes(text, syntax), ["prompt_syntax_not_read"], "{text}");
            }
        }
        for text in ["a panda <lora:x:1>", "embedding:easynegative"] {
            for syntax in [PromptSyntax::Plain, PromptSyntax::Weights] {
                assert_eq!(codes(text, syntax), ["prompt_syntax_unsupported"], "{text}");
            }
        }
    }

    #[test]
    fn plain_texts_are_not_reported() {
        for text in ["a panda (1920)", "time 12:30", "smile :)", "see [1", "a (b) c: d", "красный (алый) шар"]
        {
            assert_eq!(codes(text, PromptSyntax::Plain), [""; 0], "{text}");
        }
    }
}

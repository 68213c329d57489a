//! Sources as they travel: without the words and margins that only their readers need.
//!
//! Invariant: a line stays a line, so the lines in error messages are those of the file; what goes is lines that are nothing but
//! comment, types within a line (`/** @type {X} */`), and the margin. (tests/architecture.rs holds the files to the form of
//! comments that this relies on; no text of theirs begins a line with spaces that mean something.)

/// A script or style sheet as it is sent.
pub(super) fn lean(source: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(source.len());
    for line in source.split_inclusive('\n') {
        let text = line.trim();
        // `/** @type {X} */ (value)` is code.
        let opens = !inside && text.starts_with("/*") && text.find("*/").is_none_or(|at| at + 2 == text.len());
        if inside || opens {
            inside = !text.ends_with("*/");
        } else if !text.starts_with("//") {
            push_without_types(&mut out, text);
        }
        if line.ends_with('\n') {
            out.push('\n');
        }
    }
    out
}

fn push_without_types(out: &mut String, mut code: &str) {
    while let Some((before, rest)) = code.split_once("/** @") {
        let Some((_, after)) = rest.split_once("*/") else { break };
        out.push_str(before);
        code = after.strip_prefix(' ').unwrap_or(after);
    }
    out.push_str(code);
}

#[cfg(test)]
mod tests {
    use super::lean;

    #[test]
    fn comments_types_and_margins_go_and_code_stays_in_its_line() {
        let source = "/**\n * Why.\n */\n\nconst a = 1; // stays\n  // goes\n/** @type {X} */ (b).c(/** @type {Y} */ (d));\n\
                      /* one line */\n    e('*/');\n  f('/** @";
        assert_eq!(lean(source), "\n\n\n\nconst a = 1; // stays\n\n(b).c((d));\n\ne('*/');\nf('/** @");
    }
}

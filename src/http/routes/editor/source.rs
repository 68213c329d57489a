//! Sources as they travel: without the words that only their readers need.
//!
//! Invariant: a line stays a line, so places in error messages are those of the file; only lines that are nothing but comment
//! are emptied. (tests/architecture.rs holds the files to the form of comments that this relies on.)

/// A script or style sheet whose lines of comment are empty.
pub(super) fn without_comments(source: &str) -> String {
    let mut inside = false;
    let mut out = String::with_capacity(source.len());
    for line in source.split_inclusive('\n') {
        let text = line.trim();
        // `/** @type {X} */ (value)` is code.
        let opens = !inside && text.starts_with("/*") && text.find("*/").is_none_or(|at| at + 2 == text.len());
        if inside || opens {
            inside = !text.ends_with("*/");
            out.push('\n');
        } else if text.starts_with("//") {
            out.push('\n');
        } else {
            out.push_str(line);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::without_comments;

    #[test]
    fn lines_of_comment_are_emptied_and_code_stays_where_it_was() {
        let source = "/**\n * Why.\n */\n\nconst a = 1; // stays\n  // goes\n/** @type {X} */ (b).c();\n/* one line */\nd('*/');\n";
        assert_eq!(
            without_comments(source),
            "\n\n\n\nconst a = 1; // stays\n\n/** @type {X} */ (b).c();\n\nd('*/');\n"
        );
    }
}

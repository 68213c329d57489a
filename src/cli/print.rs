//! What commands print to stdout.
//!
//! Invariant: a reader that has seen enough and goes away, such as `head`, ends no command with an error.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

/// Print a text as it is.
///
/// # Errors
/// Where stdout cannot be written to, unless its reader is gone.
pub(super) fn print(text: impl Display) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).context("cannot write to stdout"))
        }
        _ => Ok(()),
    }
}

/// Print a line.
///
/// # Errors
/// As [`print`].
pub(super) fn print_line(text: impl Display) -> anyhow::Result<()> {
    print(format_args!("{text}\n"))
}

/// Print a result as a table and, where a file is named, write it there as JSON; `-` prints the JSON in place of the table.
///
/// # Errors
/// As [`print`], and where the file cannot be written.
pub(super) fn print_report(report: &impl Serialize, table: impl Display, json: Option<&Path>) -> anyhow::Result<()> {
    let text = || serde_json::to_string_pretty(report).map(|text| text + "\n");
    if json.is_some_and(|path| path.as_os_str() == "-") {
        return print(text()?);
    }
    print(table)?;
    match json {
        Some(path) => std::fs::write(path, text()?).with_context(|| path.display().to_string()),
        None => Ok(()),
    }
}

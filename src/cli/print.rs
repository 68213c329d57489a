//! What commands print to stdout.
//!
//! Invariant: a reader that has seen enough and goes away, such as `head`, ends no command with an error.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

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

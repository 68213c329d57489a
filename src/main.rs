//! The binary: the command line, with the embedded model where it is built in.

#[cfg(feature = "embedded-model")]
mod embedded;

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "embedded-model")]
    let lookup: Option<kandinsky::tensor::files::Lookup> = Some(embedded::lookup);
    #[cfg(not(feature = "embedded-model"))]
    let lookup = None;
    kandinsky::cli::run(lookup)
}

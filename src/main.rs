//! The binary: the command line, with the embedded model where it is built in.

#[cfg(feature = "embedded-model")]
mod embedded;

use std::process::ExitCode;

/// Gives memory back after bursts (docs/load.md has the figures), which other allocators keep.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: kandinsky::tensor::Recycling<kandinsky::tensor::Mapped<mimalloc::MiMalloc>> =
    kandinsky::tensor::Recycling::new(kandinsky::tensor::Mapped::new(mimalloc::MiMalloc));

fn main() -> ExitCode {
    #[cfg(feature = "embedded-model")]
    let lookup: Option<kandinsky::tensor::files::Lookup> = Some(embedded::lookup);
    #[cfg(not(feature = "embedded-model"))]
    let lookup = None;
    kandinsky::cli::run(lookup)
}

//! Fetches a Kandinsky 2.1 family from the Hugging Face hub into the standard hub cache, or finds it there.
//!
//! Invariant: the cache stays what python's `huggingface_hub` makes and reads, and a snapshot never shows a file that
//! was downloaded here and did not have the hub's checksum.
//!
//! Why not `hf-hub`: version 1.0 does not resume, verifies no checksum and has no offline mode; and it brings the Xet
//! stack, about 280 crates in all.

mod cache;
mod client;
mod config;
mod digest;
mod download;
mod error;
mod family;
mod listing;
mod progress;
mod repo_id;
mod report;
mod retry;
mod select;
mod transport;

pub use client::Hub;
pub use config::HubConfig;
pub use error::HubError;
pub use family::{Family, Pulled};
pub use progress::{FileProgress, Progress, Silent, progress_bars};
pub use report::Report;
pub use retry::HubRetry;
pub use select::{Selection, select, select_translator};

/// The published translation model of a pair of languages, by their codes.
#[must_use]
pub fn published_translator(from: &str, to: &str) -> String {
    format!("Helsinki-NLP/opus-mt-{from}-{to}")
}

pub use crate::tensor::weight_files::Precision;

//! A family in the cache: where its parts are, and what it took to bring them there.

use std::path::PathBuf;

use super::report::Report;

/// Where the parts of a family are: folders in the layout of a diffusers pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Text encoder, image encoder and prior.
    pub prior: Option<PathBuf>,
    /// Multilingual text encoder, `UNet` and `MoVQ`.
    pub main: PathBuf,
    /// The same with the 9-channel `UNet`.
    pub inpaint: Option<PathBuf>,
}

/// What [`Hub::pull`](super::Hub::pull) returns.
#[derive(Debug)]
pub struct Pulled {
    /// Where the family is now.
    pub family: Family,
    /// What it took to bring it there.
    pub report: Report,
}

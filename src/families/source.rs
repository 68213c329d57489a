//! Where checkpoints are, and what a family does with them.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::diffusion::ModelLoader;
use crate::tensor::error::Result;
use crate::tensor::files::Lookup;

/// Makes a loader of a source, if it holds a checkpoint of the family.
pub(super) type Recognize = fn(&CheckpointSource, LoadOptions) -> Result<Option<Arc<dyn ModelLoader>>>;

/// How a family is recognized.
pub(super) struct Family {
    /// The files that make its checkpoints, for messages.
    pub(super) layout: &'static str,
    /// A loader if the source holds a checkpoint of the family; an error if it holds a broken one.
    pub(super) recognize: Recognize,
}

/// Where a checkpoint is.
pub enum CheckpointSource {
    /// A folder on disk.
    Folder(PathBuf),
    /// Files inside the binary.
    Embedded { name: String, lookup: Lookup },
    /// Repositories of the Hugging Face hub, in its cache.
    Repositories { name: String, prior: PathBuf, main: PathBuf, inpaint: Option<PathBuf> },
}

/// What to load.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// Networks for inpainting and outpainting alone.
    pub inpainting: bool,
    /// Most bytes of encoded texts and images that are kept for requests to come.
    pub cache_bytes: usize,
}

impl Default for LoadOptions {
    fn default() -> Self {
        /// A dozen texts with all that the full-size prior knows of them.
        const CACHE_BYTES: usize = 512 << 20;
        Self { inpainting: true, cache_bytes: CACHE_BYTES }
    }
}

impl fmt::Display for CheckpointSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Embedded { name, .. } => write!(f, "embedded:{name}"),
            Self::Repositories { main, .. } => write!(f, "{}", main.display()),
        }
    }
}

//! What comes out of a file of any format.
//!
//! Invariant: nothing has been applied yet of what the file says of its colours and of its orientation.

use image::DynamicImage;
use image::metadata::Orientation;

use super::color::Colors;

/// Pixels as a file stores them.
pub(super) struct Decoded {
    pub(super) pixels: DynamicImage,
    /// What the samples mean.
    pub(super) colors: Colors,
    pub(super) orientation: Orientation,
}

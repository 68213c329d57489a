//! Previews of a part of an image, shown where they belong.
//!
//! Invariant: a preview has the proportions of the result, and shows kept pixels as they are, but for its size.

use crate::domain::{Image, Rect};
use crate::imaging::{self, Edge};
use crate::modes::{Composite, Work};

/// Longest side of a preview that shows more than the model draws, px.
const LONGEST: u32 = 1024;

/// A small copy of the image around what is drawn.
pub(super) struct Surroundings {
    original: Image,
    mask: Image,
    part: Rect,
}

impl Surroundings {
    /// Of an image whose part is drawn.
    pub(super) fn new(composite: &Composite, work: Work) -> Self {
        let whole = composite.original.size();
        // As large as the part is drawn, so that nothing of the preview gets lost, within reason.
        let [drawn, part] = [work.drawn.width, work.part.width].map(|px| u64::from(px.max(1)));
        let own = whole.pixels().saturating_mul(drawn * drawn) / (part * part);
        let small = whole.shrunk(own.max(1), LONGEST);
        Self {
            original: imaging::resize(&imaging::on_white(&composite.original), small),
            mask: imaging::fit_mask(&composite.mask, small),
            part: work.part.resized(whole, small),
        }
    }

    /// The whole image with what is drawn of it by now.
    pub(super) fn with(&self, preview: &Image) -> Image {
        let drawn = imaging::resize(preview, self.part.size());
        imaging::composite(&self.original, &drawn, &self.mask, self.part, Edge::default())
    }
}

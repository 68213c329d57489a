//! What is done to the images that a model made.
//!
//! Invariant: pixels outside of a mask are returned unchanged, bit for bit, where the request asks for that.

use std::sync::OnceLock;

use super::preview::Surroundings;
use crate::domain::{Image, Rect, Size};
use crate::imaging::{self, Edge};
use crate::modes::{CheckedGeneration, Composite, Work};

/// What is done to the images of a request.
pub struct PostProcess {
    /// What is put back. `None`: nothing.
    pub(super) composite: Option<Composite>,
    /// What was drawn of the result. `None`: all of it.
    pub(super) work: Option<Work>,
    /// What the colours are matched to. `None`: nothing.
    pub(super) seen: Option<Seen>,
    /// The size that a whole image is enlarged to. `None`: that at which it is drawn.
    pub(super) enlarged: Option<Size>,
    /// What previews are shown in, once one was asked for.
    pub(super) surroundings: OnceLock<Surroundings>,
}

/// What the model saw of the image, at the size that it draws.
pub(super) struct Seen {
    image: Image,
    /// Whether a pixel is new, row by row.
    is_new: Vec<bool>,
}

impl Seen {
    /// What the model sees of a request that is prepared. `None`: it has no mask.
    pub(super) fn new(generation: &mut CheckedGeneration, edge: Edge) -> Option<Self> {
        let size = generation.common.size;
        let (images, mask) = generation.images_mut();
        let (mut image, mut mask) = (images.into_iter().next()?.clone(), mask?.clone());
        if let Some(size) = size.filter(|size| *size != image.size()) {
            (image, mask) = (imaging::resize(&image, size), imaging::fit_mask(&mask, size));
        }
        Some(Self { is_new: mask.pixels().iter().map(|mark| !edge.keeps(*mark)).collect(), image })
    }
}

impl PostProcess {
    /// Whether images are returned as the model made them.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.composite.is_none() && self.work.is_none() && self.enlarged.is_none()
    }

    /// What is put back.
    #[must_use]
    pub fn composite(&self) -> Option<&Composite> {
        self.composite.as_ref()
    }

    /// A preview of what the model draws as it is shown: in its image, if it is a part of one.
    #[must_use]
    pub fn preview(&self, image: Image) -> Image {
        let Some((composite, work)) = self.composite.as_ref().zip(self.work) else { return image };
        self.surroundings.get_or_init(|| Surroundings::new(composite, work)).with(&image)
    }

    /// The image as it is returned.
    #[must_use]
    pub fn apply(&self, image: Image) -> Image {
        if let Some(size) = self.enlarged {
            return imaging::resize(&image, size);
        }
        let image = match &self.seen {
            Some(seen) if seen.image.size() == image.size() => imaging::match_colors(&image, &seen.image, &seen.is_new),
            _ => image,
        };
        let part = self.work.map_or(Rect::whole(image.size()), |work| work.part);
        let image = if image.size() == part.size() { image } else { imaging::resize(&image, part.size()) };
        let Some(Composite { original, mask, edge }) = &self.composite else { return image };
        imaging::composite(original, &image, mask, part, *edge)
    }
}

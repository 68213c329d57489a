//! What a model draws of a checked request.
//!
//! Invariant: a request whose result is drawn as a whole reaches the model as it came; the model itself resizes what it sees, as
//! the reference does. Transparency is laid on white for it, as the reference does.

use std::sync::OnceLock;

use super::finish::{PostProcess, Seen};
use crate::domain::{Image, Size};
use crate::imaging::{self, Edge};
use crate::modes::{CheckedGeneration, Composite, Work};

/// The request that the model draws, and what is done to its images.
#[must_use]
pub fn prepare(generation: CheckedGeneration) -> (CheckedGeneration, PostProcess) {
    let mut generation = generation.reduce();
    let enlarged = generation.take_enlargement();
    let repainting = generation.input.get().repainting().copied().unwrap_or_default();
    let size = generation.common.size;
    let composite = generation.input.get().composite().map(|composite| resized(composite, size));
    if let Some(work) = repainting.work {
        draw_part(&mut generation, composite.as_ref(), work);
    }
    for image in generation.images_mut().0 {
        *image = imaging::on_white(image);
    }
    let edge = composite.as_ref().map(|composite| composite.edge);
    let seen = edge.filter(|_| repainting.match_colors).and_then(|edge| Seen::new(&mut generation, edge));
    (generation, PostProcess { composite, work: repainting.work, seen, enlarged, surroundings: OnceLock::new() })
}

/// A composite in the size of the result.
fn resized(Composite { mut original, mut mask, edge }: Composite, size: Option<Size>) -> Composite {
    // The model resizes its own copy, as the reference does.
    if let Some(size) = size
        && size != original.size()
    {
        original = imaging::resize(&original, size);
        mask = resized_mask(&mask, size, edge);
    }
    Composite { original, mask, edge }
}

fn resized_mask(mask: &Image, size: Size, edge: Edge) -> Image {
    if edge.soft { imaging::resize_soft_mask(mask, size) } else { imaging::fit_mask(mask, size) }
}

/// Let the model draw a part of the result instead of the whole, at the size that is drawn. What is marked in the original is
/// marked there.
fn draw_part(generation: &mut CheckedGeneration, composite: Option<&Composite>, work: Work) {
    let size = generation.common.size;
    let (images, own_mask) = generation.images_mut();
    let (Some(image), Some(own_mask)) = (images.into_iter().next(), own_mask) else { return };
    let (whole, mask) = match composite {
        Some(Composite { original, mask, .. }) => (original.clone(), mask.clone()),
        None => match size.filter(|size| *size != image.size()) {
            Some(size) => (imaging::resize(image, size), imaging::fit_mask(own_mask, size)),
            None => (image.clone(), own_mask.clone()),
        },
    };
    let (part, marks) = (imaging::crop(&whole, work.part), imaging::crop(&mask, work.part));
    if part.size() == work.drawn {
        (*image, *own_mask) = (part, marks);
    } else {
        (*image, *own_mask) = (imaging::resize(&part, work.drawn), imaging::fit_mask(&marks, work.drawn));
    }
    generation.draw_at(work.drawn);
}

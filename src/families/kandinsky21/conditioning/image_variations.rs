//! Image variations: the image's own CLIP embedding, no text (`KandinskyPipeline` with an empty prompt).

use crate::domain::Image;
use crate::families::kandinsky21::conditioning::{Plan, Planner, Source, Start, Term};
use crate::tensor::error::Result;

pub(super) fn plan(planner: &mut Planner<'_>, image: &Image) -> Result<Plan> {
    let source = Source::Known(planner.model.image_embed(image)?);
    let negative = planner.negative()?;
    Ok(planner.finish(vec![Term { source, weight: 1.0 }], negative, String::new(), Start::Noise))
}

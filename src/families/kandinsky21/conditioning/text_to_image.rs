//! Text to image: the prompt through the prior, the decoder from noise (`KandinskyCombinedPipeline`).

use crate::families::kandinsky21::conditioning::{Plan, Planner, Start, Term};
use crate::tensor::error::Result;

pub(super) fn plan(planner: &mut Planner<'_>, prompt: &str) -> Result<Plan> {
    let (source, negative) = planner.prompt(prompt)?;
    Ok(planner.finish(vec![Term { source, weight: 1.0 }], negative, prompt.to_owned(), Start::Noise))
}

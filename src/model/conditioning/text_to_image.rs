//! Text to image: the prompt through the prior, the decoder from noise (`KandinskyCombinedPipeline`).

use super::{Plan, Planner, Start, Term};
use crate::model::error::Result;

pub(super) fn plan(planner: &mut Planner<'_>, prompt: &str) -> Result<Plan> {
    let (source, negative) = planner.prompt(prompt)?;
    Ok(planner.finish(vec![Term { source, weight: 1.0 }], negative, prompt.to_owned(), Start::Noise))
}

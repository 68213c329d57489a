//! Outpainting: inpainting on an extended canvas. (The engine hands it over as that already.)

use super::conditioner::Conditioner;
use super::inpainting;
use super::needs::Needs;
use super::plan::Plan;
use crate::modes::{Input, ModeInput as _, Outpainting};
use crate::tensor::error::{Error, Result};

pub(super) const NEEDS: Needs = inpainting::NEEDS;

pub(super) fn plan(conditioner: &mut Conditioner<'_>, input: &Outpainting) -> Result<Plan> {
    match input.reduce() {
        Some(Input::Inpainting(inpainting)) => inpainting::plan(conditioner, &inpainting),
        _ => Err(Error::Request("outpainting is done as inpainting".to_owned())),
    }
}

//! The modulation of an image by scales and shifts that may be smaller than it.

use candle_core::Tensor;

use crate::error::{Error, Result};

/// The scales and shifts of an image (MoVQ's spatial norm), `[batch, height', width', channels]` each. Smaller ones are
/// enlarged to the image's size by nearest neighbour.
#[derive(Clone, Copy)]
pub struct Modulation<'a> {
    pub scale: &'a Tensor,
    pub shift: &'a Tensor,
    /// Whether SiLU follows.
    pub then_silu: bool,
}

impl Modulation<'_> {
    /// Whether it fits the image `x`.
    pub(crate) fn check(&self, x: &Tensor) -> Result<()> {
        let (batch, _, _, channels) = x.dims4()?;
        let (samples, _, _, scales) = self.scale.dims4()?;
        if self.scale.dims() != self.shift.dims() || scales != channels || samples != batch {
            return Err(Error::shape(format!(
                "a scale of {:?} and a shift of {:?} for {:?}",
                self.scale.dims(),
                self.shift.dims(),
                x.dims()
            )));
        }
        Ok(())
    }
}

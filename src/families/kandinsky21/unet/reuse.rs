//! A pass through the UNet's first convolution and last layer alone, on the features that the other layers gave at an earlier step
//! (`DeepCache`, Ma et al. 2023): neighbouring steps differ little in them. More layers than the last one bring nothing
//! (docs/accelerations.md).
//!
//! Invariant: a row's features are its own, so a row gives the same alone and in any batch; of equal inputs the whole network and
//! the last layer on its features give the same numbers.

use candle_core::Tensor;

use super::blocks::UpBlock;
use super::{Context, UNet};
use crate::tensor::error::{Error, Result};

impl UNet {
    /// Latents `[batch, height, width, in]` and features of [`UNet::forward_keeping`] to predictions `[batch, height, width, out]`;
    /// one timestep and context a row.
    pub fn forward_reusing(
        &self,
        sample: &Tensor,
        timesteps: &[f32],
        contexts: &[&Context],
        features: &Tensor,
    ) -> Result<Tensor> {
        let batch = self.check_batch(sample, timesteps, contexts)?;
        if features.dims4()?.0 != batch || features.dims()[1..3] != sample.dims()[1..3] {
            return Err(Error::Request(format!("features {:?} of samples {:?}", features.dims(), sample.dims())));
        }
        let [output] = self.compute.split_rows(batch, self.bytes, |rows| {
            let part = |tensor: &Tensor| tensor.narrow(0, rows.start, rows.len())?.contiguous();
            let (timesteps, contexts) = (&timesteps[rows.clone()], &contexts[rows.clone()]);
            Ok([self.shallow_rows(&part(sample)?, timesteps, contexts, &part(features)?)?])
        })?;
        Ok(output)
    }

    fn shallow_rows(
        &self,
        sample: &Tensor,
        timesteps: &[f32],
        contexts: &[&Context],
        features: &Tensor,
    ) -> Result<Tensor> {
        let (embedding, mut cursor) = self.conditions(timesteps, contexts)?;
        let x = self.conv_in.forward(sample)?;
        let (last, _) = self.last_up_block()?;
        cursor.skip_to_last(usize::from(last.attends()));
        // The last layer reads the skip of the first convolution.
        let layer = last.layers().saturating_sub(1)..last.layers();
        let x = last.forward_layers(layer, features, &embedding, &mut cursor, &mut vec![x])?;
        self.predict(&last.finish(x, &embedding)?)
    }

    /// The last block on the way up, and those before it.
    pub(super) fn last_up_block(&self) -> Result<(&UpBlock, &[UpBlock])> {
        self.up_blocks.split_last().ok_or_else(|| Error::Request("a UNet without blocks".to_owned()))
    }
}

//! Sinusoidal timestep features and the perceptron behind them (diffusers' `Timesteps` and `TimestepEmbedding`).

use candle_core::Tensor;

use crate::tensor::error::Result;
use crate::tensor::probe;
use crate::tensor::{Activation, Compute, Linear, Vars};

/// Base of the frequencies.
const MAX_PERIOD: f64 = 10_000.0;

/// Features to an embedding: linear, SiLU, linear.
pub(crate) struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
    features: Features,
    compute: Compute,
}

/// Shape of the sinusoid.
#[derive(Clone, Copy)]
pub(crate) struct Features {
    pub(crate) width: usize,
    /// Cosines before sines.
    pub(crate) flip_sin_to_cos: bool,
    pub(crate) freq_shift: f64,
}

impl Features {
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "f32 features")]
    fn of(self, timestep: f32) -> Vec<f32> {
        let half = self.width / 2;
        let angle = |k: usize| {
            let exponent = (-MAX_PERIOD.ln() as f32 * k as f32) / (half as f64 - self.freq_shift) as f32;
            timestep * exponent.exp()
        };
        let sines = (0..half).map(|k| angle(k).sin());
        let cosines = (0..half).map(|k| angle(k).cos());
        let mut features: Vec<f32> =
            if self.flip_sin_to_cos { cosines.chain(sines).collect() } else { sines.chain(cosines).collect() };
        features.resize(self.width, 0.0);
        features
    }
}

impl TimestepEmbedding {
    /// Load `linear_1` and `linear_2` below `vars`.
    pub(crate) fn load(vars: &Vars<'_>, features: Features, hidden: usize, width: usize) -> Result<Self> {
        Ok(Self {
            linear_1: Linear::load(&vars.sub("linear_1"), features.width, hidden)?,
            linear_2: Linear::load(&vars.sub("linear_2"), hidden, width)?,
            features,
            compute: vars.compute().clone(),
        })
    }

    /// One timestep a row, `[batch, width]`.
    pub(crate) fn forward(&self, timesteps: &[f32]) -> Result<Tensor> {
        let features = timesteps.iter().flat_map(|t| self.features.of(*t)).collect();
        let features = self.compute.tensor(features, &[timesteps.len(), self.features.width])?;
        probe::sequence("time_proj", &features);
        let h = self.compute.activate(&self.linear_1.forward(&features)?, Activation::Silu)?;
        let embedding = self.linear_2.forward(&h)?;
        probe::sequence("time_embedding", &embedding);
        Ok(embedding)
    }
}

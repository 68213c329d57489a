//! Kandinsky 2.1 as the engine drives it.

use std::rc::Rc;

use super::kandinsky::Kandinsky;
use super::sample::{KandinskySample, Stage};
use crate::diffusion::{
    BatchKey, CacheCounts, DiffusionModel, ModelInfo, RowMemory, Sample, StageInfo, own_sample, own_samples,
};
use crate::domain::Image;
use crate::modes::CheckedGeneration;
use crate::tensor::error::Result;

/// Activation bytes of one row per latent, generously: the full-size UNet and MoVQ at half precision stay below it.
const BYTES_PER_LATENT: u64 = 64 << 10;
/// Activation bytes of one row of the prior or of an encoder.
const BYTES_PER_TEXT: u64 = 32 << 20;

/// What a sample goes through: a [`Stage`] each.
pub(super) static STAGES: [StageInfo; 4] = {
    let long = StageInfo {
        id: "encode",
        title: "encoding",
        progress: (0.0, 0.0),
        batchable: false,
        exclusive: false,
        denoises: false,
        memory: RowMemory::Fixed(BYTES_PER_TEXT),
    };
    let mut stages = [long; 4];
    stages[Stage::Conditioning as usize].batchable = true;
    stages[Stage::Prior as usize] =
        StageInfo { id: "prior", title: "prior", progress: (0.0, 10.0), batchable: true, ..long };
    let memory = RowMemory::PerLatent(BYTES_PER_LATENT);
    stages[Stage::Denoising as usize] = StageInfo {
        id: "decoder",
        title: "decoder",
        progress: (10.0, 95.0),
        batchable: true,
        denoises: true,
        memory,
        ..long
    };
    stages[Stage::ImageDecoding as usize] =
        StageInfo { id: "decode", title: "decoding", progress: (95.0, 95.0), exclusive: true, memory, ..long };
    stages
};

impl DiffusionModel for Kandinsky {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn begin(&self, generation: &Rc<CheckedGeneration>, index: u32) -> Result<Box<dyn Sample>> {
        Ok(Box::new(self.new_sample(generation, index)?))
    }

    fn step(&self, _key: BatchKey, samples: &mut [&mut dyn Sample]) -> Result<Vec<Option<Image>>> {
        self.step_samples(&mut own_samples::<KandinskySample>(samples)?)
    }

    fn preview(&self, sample: &dyn Sample) -> Result<Option<Image>> {
        self.preview_of(own_sample(sample)?)
    }

    fn embed_text(&self, text: &str) -> Result<Vec<Vec<f32>>> {
        self.text_parts(text)
    }

    fn embed_image(&self, image: &Image) -> Result<Vec<f32>> {
        self.image_embed(image)
    }

    fn cache_counts(&self) -> CacheCounts {
        self.encodings.counts()
    }
}

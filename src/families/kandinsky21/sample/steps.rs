//! One step of a batch, for each stage.
//!
//! Invariant: on an error no sample has taken the step.

use super::state::{KandinskySample, Phase, Stage, sides};
use crate::diffusion::pixels;
use crate::domain::Image;
use crate::families::kandinsky21::decoder_run::{self, DecoderRun};
use crate::families::kandinsky21::kandinsky::Kandinsky;
use crate::families::kandinsky21::prior_run::{self, PriorRun};
use crate::tensor::error::{Error, Result};

impl Kandinsky {
    /// One step of these samples, all of one key. For each sample the image, if that was its last step.
    pub(in crate::families::kandinsky21) fn step_samples(
        &self,
        samples: &mut [&mut KandinskySample],
    ) -> Result<Vec<Option<Image>>> {
        let Some(first) = samples.first() else { return Ok(Vec::new()) };
        match first.stage() {
            Stage::Conditioning => self.condition(samples)?,
            Stage::Prior => self.step_prior(samples)?,
            Stage::Denoising => self.step_denoising(samples)?,
            Stage::ImageDecoding => return samples.iter_mut().map(|sample| self.step_decoding(sample)).collect(),
        }
        Ok(vec![None; samples.len()])
    }

    /// One step of every unfinished prior run.
    fn step_prior(&self, samples: &mut [&mut KandinskySample]) -> Result<()> {
        let prior = &self.prior()?.network;
        let mut runs: Vec<&mut PriorRun> = Vec::new();
        for sample in samples.iter_mut() {
            if let Phase::Prior(prepared) = &mut sample.phase {
                runs.extend(prepared.plan.prior_runs.iter_mut().filter(|run| !run.is_done()));
            }
        }
        prior_run::step(prior, &self.compute, &mut runs)
    }

    fn step_denoising(&self, samples: &mut [&mut KandinskySample]) -> Result<()> {
        let repaints = samples.first().is_some_and(|sample| sample.repaints);
        let unet = &self.decoder(repaints)?.unet;
        let mut runs: Vec<&mut DecoderRun> = Vec::new();
        for sample in samples.iter_mut() {
            self.start_denoising(sample, unet)?;
            if let Phase::Denoising(run) = &mut sample.phase {
                runs.extend((!run.is_done()).then_some(&mut **run));
            }
        }
        decoder_run::step(unet, &self.compute, &mut runs)
    }

    /// The next part of decoding a sample's latents; after the last one its image, cropped to the size requested.
    fn step_decoding(&self, sample: &mut KandinskySample) -> Result<Option<Image>> {
        let (movq, (height, width)) = (self.movq()?, sides(sample.latent));
        if let Phase::Denoising(run) = &sample.phase
            && run.is_done()
        {
            let quantize = sample.generation.common.quantize_latents;
            let latents = if quantize { movq.quantize(run.latents(), 1).1 } else { run.latents().to_vec() };
            sample.phase = Phase::Decoding(Box::new(movq.begin_decode(latents, 1, height, width)?));
        }
        let Phase::Decoding(decoding) = &mut sample.phase else {
            return Err(Error::Request("only a denoised sample can be decoded".to_owned()));
        };
        let Some(planes) = movq.step_decode(decoding)? else { return Ok(None) };
        let planes = self.finite(planes, "MoVQ's decoder")?;
        let image = pixels::from_signed_planes(&planes, self.canvas(sample)?);
        Ok(Some(pixels::crop(&image, 0, 0, sample.size)))
    }

    /// A rough image of what the last denoising step predicts, at the size requested; `None` before that step.
    pub(in crate::families::kandinsky21) fn preview_of(&self, sample: &KandinskySample) -> Result<Option<Image>> {
        let Phase::Denoising(run) = &sample.phase else { return Ok(None) };
        let Some(original) = run.original() else { return Ok(None) };
        let image = self.preview()?.image(original, sample.latent, self.movq()?.scale_factor());
        Ok(Some(pixels::crop(&image, 0, 0, sample.size)))
    }
}

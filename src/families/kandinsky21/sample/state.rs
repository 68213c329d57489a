//! What a sample has in each stage, and the state that the engine sees.

use std::rc::Rc;

use crate::diffusion::random::Generator;
use crate::diffusion::{BatchKey, Sample, SampleState};
use crate::domain::Size;
use crate::families::kandinsky21::conditioning::Plan;
use crate::families::kandinsky21::decoder_run::DecoderRun;
use crate::families::kandinsky21::encodings::DecoderText;
use crate::families::kandinsky21::movq::Decoding;
use crate::families::kandinsky21::prior_run::PriorRun;
use crate::families::kandinsky21::step_plan::StepPlan;
use crate::modes::CheckedGeneration;
use crate::schedulers::{ImageStart, Sampler};

/// The stages, in order: indexes into [`STAGES`](crate::families::kandinsky21::model::STAGES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::families::kandinsky21) enum Stage {
    /// Text and image encoders.
    Conditioning,
    Prior,
    /// The UNet.
    Denoising,
    /// MoVQ's decoder.
    ImageDecoding,
}

/// Rows that the encoders compute of a sample's texts: what is wanted, and what is not.
const ROWS_OF_TEXTS: usize = 2;
/// What images to encode are counted as: so many that a worker begins with one sample a step, as MoVQ's encoder takes long, and shares
/// steps once that is measured to be short.
const ROWS_OF_IMAGES: usize = 8;

/// One image being made.
pub struct KandinskySample {
    pub(super) generation: Rc<CheckedGeneration>,
    pub(super) seed: u64,
    /// Size of the image.
    pub(super) size: Size,
    /// Size of its latents.
    pub(super) latent: Size,
    /// Whether the 9-channel UNet denoises it.
    pub(super) repaints: bool,
    /// Whether it begins with images, which take longer to encode than texts.
    pub(super) has_images: bool,
    pub(super) phase: Phase,
}

/// Where a sample is, and what it has there.
pub(super) enum Phase {
    Start,
    Prior(Box<Prepared>),
    Denoising(Box<DecoderRun>),
    /// Its latents have begun to be decoded.
    Decoding(Box<Decoding>),
}

/// What a sample knows before it is denoised.
pub(super) struct Prepared {
    pub(super) plan: Plan,
    /// Its next numbers are the decoder's.
    pub(super) generator: Generator,
    /// The decoder's texts: the prompt, and what guidance leads away from.
    pub(super) texts: Vec<DecoderText>,
    /// Latents of the image to start from.
    pub(super) encoded: Option<Vec<f32>>,
    pub(super) sampler: Box<dyn Sampler>,
    /// Where denoising starts from an image; `None`: it starts from noise.
    pub(super) image_start: Option<ImageStart>,
    /// What its decoder steps compute.
    pub(super) step_plan: StepPlan,
}

impl Prepared {
    /// The first denoising step.
    pub(super) fn first_step(&self) -> usize {
        self.image_start.map_or(0, |start| start.first_step)
    }

    /// Rows of the first denoising step.
    fn first_rows(&self) -> usize {
        let first = self.sampler.timesteps().get(self.first_step());
        1 + usize::from(self.texts.len() > 1 && first.is_none_or(|timestep| self.step_plan.guides(*timestep)))
    }

    fn prior_is_done(&self) -> bool {
        self.plan.prior_runs.iter().all(PriorRun::is_done)
    }
}

impl KandinskySample {
    /// Where it is.
    pub(super) fn stage(&self) -> Stage {
        match &self.phase {
            Phase::Start => Stage::Conditioning,
            Phase::Prior(prepared) if prepared.prior_is_done() => Stage::Denoising,
            Phase::Prior(_) => Stage::Prior,
            Phase::Denoising(run) if run.is_done() => Stage::ImageDecoding,
            Phase::Denoising(_) => Stage::Denoising,
            Phase::Decoding(_) => Stage::ImageDecoding,
        }
    }

    /// Steps taken, and steps in all, of its stage.
    fn progress(&self, stage: Stage) -> (usize, usize) {
        match &self.phase {
            Phase::Prior(prepared) if stage == Stage::Denoising => {
                (0, prepared.sampler.timesteps().len().saturating_sub(prepared.first_step()))
            }
            Phase::Prior(prepared) => {
                let progress = prepared.plan.prior_runs.iter().map(PriorRun::progress);
                progress.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
            }
            Phase::Denoising(run) if stage == Stage::Denoising => run.progress(),
            Phase::Start | Phase::Denoising(_) | Phase::Decoding(_) => (0, 1),
        }
    }

    /// Rows that the network computes for its next step.
    fn rows(&self, stage: Stage) -> usize {
        match &self.phase {
            Phase::Prior(prepared) if stage == Stage::Prior => {
                prepared.plan.prior_runs.iter().filter(|run| !run.is_done()).map(PriorRun::batch_rows).sum()
            }
            Phase::Prior(prepared) => prepared.first_rows(),
            Phase::Denoising(run) if stage == Stage::Denoising => run.batch_rows(),
            Phase::Start if self.has_images => ROWS_OF_IMAGES,
            Phase::Start => ROWS_OF_TEXTS,
            Phase::Denoising(_) | Phase::Decoding(_) => 1,
        }
    }
}

impl Sample for KandinskySample {
    fn state(&self) -> SampleState {
        let stage = self.stage();
        let (height, width) = if stage < Stage::Denoising { (0, 0) } else { sides(self.latent) };
        let reuses = matches!(&self.phase, Phase::Denoising(run) if stage == Stage::Denoising && run.reuses_features());
        // What is computed of a network is a network of its own: its steps cost less.
        let network = match stage {
            Stage::Conditioning => u8::from(self.has_images),
            Stage::Denoising => u8::from(self.repaints) + 2 * u8::from(reuses),
            Stage::Prior | Stage::ImageDecoding => 0,
        };
        let (step, steps) = self.progress(stage);
        SampleState {
            key: BatchKey { stage: stage as usize, network, height, width },
            rows: self.rows(stage),
            step,
            steps,
            occupies: matches!(self.phase, Phase::Decoding(_)),
            preview_step: if let Phase::Denoising(run) = &self.phase { Some(run.progress().0) } else { None },
        }
    }
}

/// Height and width, as tensors have them.
pub(super) fn sides(size: Size) -> (usize, usize) {
    (size.height as usize, size.width as usize)
}

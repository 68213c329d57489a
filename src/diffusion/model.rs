//! The seam between the engine and the model families: a resident model that draws images step by step.
//!
//! Invariants: a model and its samples stay on the thread that loaded it; the image of a sample does not depend on the
//! samples that it shared steps with.

use std::any::Any;
use std::rc::Rc;
use std::sync::Arc;

use crate::domain::{Image, PriorKind, Scheduler, Warning};
use crate::modes::{CheckedGeneration, Mode};
use crate::tensor::Compute;
use crate::tensor::error::{Error, Result};

/// A resident image model. One thread drives it, one batch of samples of equal [`BatchKey`] at a time.
pub trait DiffusionModel {
    /// What it is and can do. Fixed once it is loaded.
    fn info(&self) -> &ModelInfo;

    /// Image number `index` of a request, before its first step. The request is reduced ([`CheckedGeneration::reduce`]).
    /// Fails if a component that it needs is missing.
    fn begin(&self, generation: &Rc<CheckedGeneration>, index: u32) -> Result<Box<dyn Sample>>;

    /// Take one step of each sample; all have the key `key`. For each sample the finished image, or `None` if there are more
    /// steps to take.
    ///
    /// On an error no sample has moved: each can be stepped again, alone or in another batch.
    fn step(&self, key: BatchKey, samples: &mut [&mut dyn Sample]) -> Result<Vec<Option<Image>>>;

    /// A rough image of what the sample is becoming, at the size requested; `None` if there is nothing to see yet.
    fn preview(&self, sample: &dyn Sample) -> Result<Option<Image>>;

    /// CLIP's embeddings of the parts of a text, of [`ModelInfo::clip_width`] numbers, not normalised: one of a text that
    /// fits into CLIP's context, several that overlap of a longer one.
    fn embed_text(&self, text: &str) -> Result<Vec<Vec<f32>>>;

    /// CLIP's embedding of an image, in the space of [`DiffusionModel::embed_text`]; of an image that is not square, of the
    /// square in its middle.
    fn embed_image(&self, image: &Image) -> Result<Vec<f32>>;

    /// Look-ups of texts and images that were encoded before.
    fn cache_counts(&self) -> CacheCounts;
}

/// One image being made, between two steps.
pub trait Sample: Any {
    /// Where it is.
    fn state(&self) -> SampleState;
}

/// Where a sample is, and what its next step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleState {
    /// What it can share its next step with.
    pub key: BatchKey,
    /// Rows that the network computes for its next step.
    pub rows: usize,
    /// Steps taken in this stage.
    pub step: usize,
    /// Steps in all of this stage.
    pub steps: usize,
    /// Whether it has begun an exclusive stage, and so holds that stage's memory ([`StageInfo::exclusive`]).
    pub occupies: bool,
    /// Denoising steps behind it; `None` while there is nothing to preview.
    pub preview_step: Option<usize>,
}

/// What samples must have in common to share a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchKey {
    /// Index into [`ModelInfo::stages`].
    pub stage: usize,
    /// Which of the stage's networks. Only the model knows what the number means.
    pub network: u8,
    /// Latent height; 0 in stages without latents.
    pub height: usize,
    /// Latent width; 0 in stages without latents.
    pub width: usize,
}

/// A stage that samples go through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageInfo {
    /// The name in events and metrics.
    pub id: &'static str,
    /// What people call it while it runs: `encoding`.
    pub title: &'static str,
    /// The progress of a job when it begins and when it ends, percent. What is left of 100 is writing the files.
    pub progress: (f32, f32),
    /// Whether several samples can take a step together. The steps of other stages are long, and each is taken alone.
    pub batchable: bool,
    /// Whether one sample at a time goes through it, from its first step to its last one: it holds the largest tensors.
    pub exclusive: bool,
    /// Whether its steps are those that requests ask for: cost is counted in them, and previews are of them.
    pub denoises: bool,
    /// Memory that its activations take.
    pub memory: RowMemory,
}

/// Most bytes of activations that a row of a batch takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowMemory {
    /// Whatever the size of the image.
    Fixed(u64),
    /// For each latent.
    PerLatent(u64),
}

impl RowMemory {
    /// Bytes of a row of a batch of `key`.
    #[must_use]
    pub fn bytes(self, key: BatchKey) -> u64 {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::PerLatent(bytes) => bytes.saturating_mul(((key.height * key.width) as u64).max(1)),
        }
    }
}

/// What a loaded model is and can do.
#[derive(Debug, Clone)]
pub struct ModelInfo {
    pub name: String,
    /// Side of the square image that it was made for, px.
    pub native_size: u32,
    /// Sides that are multiples of this are made without cropping, px.
    pub size_step: u32,
    /// Bytes of all weights, as stored.
    pub weight_bytes: usize,
    /// Modes that this checkpoint cannot do, and why. A mode that is not listed has all the components that it needs.
    pub unavailable: Vec<(Mode, String)>,
    /// Numbers in CLIP's embeddings; `None`: there is no encoder of texts.
    pub clip_width: Option<usize>,
    /// Whether it embeds images.
    pub embeds_images: bool,
    /// Priors that it has.
    pub priors: Vec<PriorKind>,
    /// The checkpoint's own scheduler, if requests can choose it.
    pub scheduler: Option<Scheduler>,
    /// The stages that samples go through, in order.
    pub stages: &'static [StageInfo],
    /// How its encoders read texts.
    pub reader: Option<Arc<dyn PromptReader>>,
}

impl ModelInfo {
    /// What this model does not read or draw of a request's texts.
    #[must_use]
    pub fn warnings(&self, generation: &CheckedGeneration) -> Vec<Warning> {
        let mut warnings = generation.syntax_warnings();
        warnings.extend(self.reader.iter().flat_map(|reader| reader.unread(generation)));
        warnings
    }
}

/// What a model's tokenizers say of texts, on any thread.
pub trait PromptReader: Send + Sync + std::fmt::Debug {
    /// A warning for each text of a request and each encoder that does not read it to its end.
    fn unread(&self, generation: &CheckedGeneration) -> Vec<Warning>;
}

/// Look-ups in a model's cache since it was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounts {
    pub hits: u64,
    pub misses: u64,
}

/// Loads a checkpoint, as often as there are workers, each time on the thread that will drive the model.
pub trait ModelLoader: Send + Sync {
    /// Load the model. `report` is called with the name of each component before it is loaded.
    fn load(&self, compute: &Compute, report: &mut dyn FnMut(&str)) -> Result<Box<dyn DiffusionModel>>;

    /// What the model is and can do, without loading it: no weights are read, and their bytes are not counted.
    fn describe(&self) -> Result<ModelInfo>;

    /// What can be seen to be wrong with the checkpoint without loading it.
    fn problems(&self) -> Vec<String>;

    /// What the checkpoint lacks, as far as that can be seen without loading it.
    fn inventory(&self) -> Inventory;
}

/// What a checkpoint lacks.
#[derive(Debug, Clone, Default)]
pub struct Inventory {
    /// Components that are not there, and the place that they were looked for at.
    pub absent: Vec<(&'static str, String)>,
    /// Modes that cannot be done without them, and why.
    pub unavailable: Vec<(Mode, String)>,
}

impl Inventory {
    /// The modes that can be done.
    #[must_use]
    pub fn modes(&self) -> Vec<Mode> {
        let can = |mode: &Mode| !self.unavailable.iter().any(|(other, _)| other == mode);
        Mode::ALL.into_iter().filter(can).collect()
    }
}

impl std::fmt::Display for Inventory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let absent = self.absent.iter().map(|(component, place)| format!("no {component} in {place}"));
        f.write_str(&absent.collect::<Vec<_>>().join("; "))
    }
}

/// A family's own samples among those that the engine hands back to it.
pub fn own_samples<'a, S: Sample>(samples: &'a mut [&mut dyn Sample]) -> Result<Vec<&'a mut S>> {
    let own = samples.iter_mut().map(|sample| {
        let sample: &mut dyn Any = &mut **sample;
        sample.downcast_mut().ok_or_else(foreign)
    });
    own.collect()
}

/// The same of one sample.
pub fn own_sample<S: Sample>(sample: &dyn Sample) -> Result<&S> {
    let sample: &dyn Any = sample;
    sample.downcast_ref().ok_or_else(foreign)
}

fn foreign() -> Error {
    Error::Request("the sample belongs to another model".to_owned())
}

/// Make image number `index` of a request, one step after the other. (The engine does this for many requests at once.)
pub fn generate(model: &dyn DiffusionModel, generation: CheckedGeneration, index: u32) -> Result<Image> {
    let mut sample = model.begin(&Rc::new(generation.reduce()), index)?;
    loop {
        let finished = model.step(sample.state().key, &mut [&mut *sample])?;
        if let Some(image) = finished.into_iter().flatten().next() {
            return Ok(image);
        }
    }
}

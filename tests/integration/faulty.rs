//! A model whose steps fail on purpose: it delegates to another one, after asking a hook what is to happen.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use kandinsky::diffusion::{
    BatchKey, CacheCounts, DiffusionModel, Inventory, ModelInfo, ModelLoader, Sample, SampleState, own_sample,
    own_samples,
};
use kandinsky::domain::Image;
use kandinsky::modes::CheckedGeneration;
use kandinsky::tensor::Compute;
use kandinsky::tensor::error::{Error, Result};

/// A step that is about to be taken.
pub struct FaultPoint<'a> {
    /// Number of the worker.
    pub worker: usize,
    /// Id of the stage.
    pub stage: &'static str,
    /// Seeds of the images in the batch.
    pub seeds: &'a [u64],
}

/// What goes wrong in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    /// The model panics.
    Panic,
    /// The worker's own code panics, at the end of the step.
    Crash,
    /// The device is gone.
    DeviceLost,
}

/// Decides about every step.
pub type FaultHook = Arc<dyn Fn(&FaultPoint<'_>) -> Fault + Send + Sync>;

/// Loads a model and puts the hook before it.
pub struct FaultyLoader {
    pub inner: Arc<dyn ModelLoader>,
    pub hook: FaultHook,
}

struct FaultyModel {
    inner: Box<dyn DiffusionModel>,
    hook: FaultHook,
    worker: usize,
    /// Whether asking for a sample's state panics from now on.
    crashed: Rc<Cell<bool>>,
}

struct FaultySample {
    inner: Box<dyn Sample>,
    seed: u64,
    crashed: Rc<Cell<bool>>,
}

/// The number of the worker whose thread this is: threads are called `worker-N` and `worker-N-thread`.
fn worker_number() -> usize {
    let thread = std::thread::current();
    let number = thread.name().and_then(|name| name.split('-').nth(1)).and_then(|number| number.parse().ok());
    number.expect("a worker's thread")
}

impl ModelLoader for FaultyLoader {
    fn load(&self, compute: &Compute, report: &mut dyn FnMut(&str)) -> Result<Box<dyn DiffusionModel>> {
        let inner = self.inner.load(compute, report)?;
        let (hook, crashed) = (self.hook.clone(), Rc::default());
        Ok(Box::new(FaultyModel { inner, hook, worker: worker_number(), crashed }))
    }

    fn problems(&self) -> Vec<String> {
        self.inner.problems()
    }

    fn describe(&self) -> Result<ModelInfo> {
        self.inner.describe()
    }

    fn inventory(&self) -> Inventory {
        self.inner.inventory()
    }
}

impl Sample for FaultySample {
    fn state(&self) -> SampleState {
        assert!(!self.crashed.get(), "a crash on purpose");
        self.inner.state()
    }
}

impl DiffusionModel for FaultyModel {
    fn info(&self) -> &ModelInfo {
        self.inner.info()
    }

    fn begin(&self, generation: &Rc<CheckedGeneration>, index: u32) -> Result<Box<dyn Sample>> {
        let inner = self.inner.begin(generation, index)?;
        let seed = generation.common.seed + u64::from(index);
        Ok(Box::new(FaultySample { inner, seed, crashed: self.crashed.clone() }))
    }

    fn step(&self, key: BatchKey, samples: &mut [&mut dyn Sample]) -> Result<Vec<Option<Image>>> {
        let samples = own_samples::<FaultySample>(samples)?;
        let seeds: Vec<u64> = samples.iter().map(|sample| sample.seed).collect();
        let stage = self.info().stages[key.stage].id;
        match (self.hook)(&FaultPoint { worker: self.worker, stage, seeds: &seeds }) {
            Fault::Nothing => {}
            Fault::Panic => panic!("a panic on purpose"),
            Fault::Crash => self.crashed.set(true),
            Fault::DeviceLost => {
                let message = "DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"on purpose\")";
                return Err(Error::Tensor(candle_core::Error::Msg(message.to_owned())));
            }
        }
        let mut inner: Vec<&mut dyn Sample> = Vec::new();
        for sample in samples {
            inner.push(&mut *sample.inner);
        }
        self.inner.step(key, &mut inner)
    }

    fn preview(&self, sample: &dyn Sample) -> Result<Option<Image>> {
        self.inner.preview(&*own_sample::<FaultySample>(sample)?.inner)
    }

    fn embed_text(&self, text: &str) -> Result<Vec<Vec<f32>>> {
        self.inner.embed_text(text)
    }

    fn embed_image(&self, image: &Image) -> Result<Vec<f32>> {
        self.inner.embed_image(image)
    }

    fn cache_counts(&self) -> CacheCounts {
        self.inner.cache_counts()
    }
}

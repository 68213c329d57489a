//! What the workers run.

use std::sync::Arc;

use crate::diffusion::ModelLoader;
use crate::domain::{BackendChoice, Convolutions, DeviceChoice, Dtype, ProductPrecision};
use crate::journal::Journal;

/// What the workers run.
#[derive(Clone)]
pub struct EngineConfig {
    /// Loads the model, once on each worker.
    pub loader: Arc<dyn ModelLoader>,
    /// A worker for each; a device may be named several times. At least one.
    pub devices: Vec<DeviceChoice>,
    pub dtype: Dtype,
    pub backend: BackendChoice,
    /// Of the CPU's own kernels.
    pub convolutions: Convolutions,
    /// Likewise.
    pub precision: ProductPrecision,
    /// Take steps of several images together.
    pub batching: bool,
    /// Where the workers note what they execute.
    pub journal: Journal,
}

impl EngineConfig {
    /// One worker on the best device.
    #[must_use]
    pub fn new(loader: Arc<dyn ModelLoader>) -> Self {
        Self {
            loader,
            devices: vec![DeviceChoice::default()],
            dtype: Dtype::default(),
            backend: BackendChoice::default(),
            convolutions: Convolutions::default(),
            precision: ProductPrecision::default(),
            batching: true,
            journal: Journal::default(),
        }
    }
}

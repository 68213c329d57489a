//! The model that ships with the project, loaded once for all tests of this binary.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use kandinsky::domain::{BackendChoice, Common, DeviceChoice, Image, Limits, PriorSettings, SizePolicy};
use kandinsky::engine::{Engine, EngineConfig};
use kandinsky::families;
use kandinsky::generation::{self, RunningGeneration};
use kandinsky::imaging::{self, DecodeLimits};
use kandinsky::modes::{CheckedGeneration, Generation, TextToImage};

pub const DECODE: DecodeLimits = DecodeLimits { max_side: 4096, max_pixels: 1 << 24 };

pub fn limits() -> Limits {
    Limits {
        max_side: 512,
        max_pixels: 1 << 18,
        max_input_side: 1024,
        max_input_pixels: 1 << 20,
        max_steps: 100,
        max_pictures: 8,
        max_areas: 64,
        max_prompt_chars: 4000,
        size_policy: SizePolicy::Refuse,
        max_enlarged_pixels: 1 << 20,
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn model_folder() -> PathBuf {
    root().join("models/kandinsky-mini")
}

/// A worker with the model, started once for all tests of this process that need none of their own.
pub fn engine() -> &'static Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    ENGINE.get_or_init(|| Arc::new(start(&model_folder()).expect("kandinsky-mini loads")))
}

pub fn start(folder: &Path) -> anyhow::Result<Engine> {
    start_with(folder, BackendChoice::Auto)
}

pub fn start_with(folder: &Path, backend: BackendChoice) -> anyhow::Result<Engine> {
    let loader = families::open_folder(folder)?;
    let config = EngineConfig { devices: vec![DeviceChoice::Cpu], backend, ..EngineConfig::new(loader) };
    Ok(Engine::start(config, |_| {})?)
}

/// Run a request to its end.
pub fn run(engine: &Engine, generation: impl Into<Generation>) -> anyhow::Result<Vec<Image>> {
    finish(begin(engine, generation)?)
}

/// Hand a request to the worker, which draws it beside whatever else it was handed.
pub fn begin(engine: &Engine, generation: impl Into<Generation>) -> anyhow::Result<RunningGeneration> {
    let generation = generation.into().check(&limits(), Some(engine.info().native_size))?;
    Ok(generation::start_generation(engine, generation)?)
}

/// Wait for the images of a request.
pub fn finish(running: RunningGeneration) -> anyhow::Result<Vec<Image>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(running.images(|_, _, _| {}))?)
}

/// Few steps: enough for what is not about quality.
pub fn quick() -> Common {
    Common { steps: 4, seed: 1, prior: PriorSettings { steps: 3, ..PriorSettings::default() }, ..Common::default() }
}

pub fn text(prompt: &str, common: Common) -> CheckedGeneration {
    checked(Generation { input: TextToImage { prompt: prompt.to_owned() }.into(), common })
}

/// A request that the engine takes.
pub fn checked(generation: Generation) -> CheckedGeneration {
    generation.check(&Limits::UNBOUNDED, None).expect("a valid request")
}

/// A request that no check would let pass, as a damaged store could give it.
pub fn unchecked(generation: &Generation) -> CheckedGeneration {
    serde_json::from_value(serde_json::to_value(generation).unwrap()).unwrap()
}

pub fn read(path: &Path) -> Image {
    imaging::decode(&std::fs::read(path).expect("a picture"), &DECODE).expect("a readable picture")
}

//! The answer of both calls that make images.
//!
//! Invariant: `info` is JSON in a text, as programs for this API expect it, and says what was done otherwise than asked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::progress::timestamp;
use crate::http::context::AppState;
use crate::http::respond::parameters::parameters_of;
use crate::jobs::Files;
use crate::modes::parameters::Parameters;
use crate::records::Job;
use crate::schedulers::{self, SchedulerInfo};

/// The name and version of this server, as images name it.
const VERSION: &str = concat!("kandinsky ", env!("CARGO_PKG_VERSION"));

/// Images as programs for AUTOMATIC1111's API read them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebuiImages {
    /// Files in base64; empty if the request says so.
    images: Vec<String>,
    /// What the images were made from.
    parameters: RequestParameters,
    /// An `ImagesInfo` as JSON in a text.
    info: String,
}

/// What images were made from, by the names of the request.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RequestParameters {
    prompt: String,
    negative_prompt: String,
    styles: Vec<String>,
    seed: u64,
    #[schema(example = "DPM++ 2M")]
    sampler_name: &'static str,
    /// `Karras` or `Automatic`.
    #[schema(example = "Automatic")]
    scheduler: &'static str,
    batch_size: u32,
    n_iter: u32,
    steps: u32,
    cfg_scale: f32,
    /// px
    width: u32,
    /// px
    height: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    denoising_strength: Option<f64>,
}

/// What there is to know of images: the text `info`, parsed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImagesInfo {
    #[serde(flatten)]
    parameters: RequestParameters,
    all_prompts: Vec<String>,
    all_negative_prompts: Vec<String>,
    /// The seed that gives each image alone.
    all_seeds: Vec<u64>,
    subseed: i64,
    all_subseeds: Vec<i64>,
    subseed_strength: f32,
    restore_faces: bool,
    face_restoration_model: Option<String>,
    sd_model_name: String,
    sd_model_hash: Option<String>,
    sd_vae_name: Option<String>,
    sd_vae_hash: Option<String>,
    seed_resize_from_w: i32,
    seed_resize_from_h: i32,
    /// `Prompt translated` and `Negative prompt translated`: what was drawn in place of a text that was translated.
    #[schema(value_type = Object)]
    extra_generation_params: serde_json::Map<String, serde_json::Value>,
    index_of_first_image: usize,
    /// A text for each image, whose last line has its parameters.
    infotexts: Vec<String>,
    job_timestamp: String,
    clip_skip: u32,
    is_using_inpainting_conditioning: bool,
    version: &'static str,
    /// An extension of this server: what was done otherwise than asked.
    warnings: Vec<String>,
    /// An extension of this server: the id of the job.
    job_id: Uuid,
}

impl WebuiImages {
    /// The images of a job that has succeeded.
    pub(super) fn new(state: &AppState, job: &Job, files: &Files, echo: &WebuiEcho) -> Self {
        let native = parameters_of(&job.spec, state.engine.info());
        let parameters = RequestParameters::new(&native, job, echo);
        let info = ImagesInfo::new(parameters.clone(), job);
        let images =
            if echo.send_images { files.iter().map(|file| STANDARD.encode(file)).collect() } else { Vec::new() };
        Self { images, parameters, info: serde_json::to_string(&info).unwrap_or_default() }
    }
}

/// What an answer repeats of its request.
#[derive(Debug, Clone, Copy)]
pub(super) struct WebuiEcho {
    pub(super) send_images: bool,
    pub(super) batch_size: u32,
    pub(super) n_iter: u32,
}

impl RequestParameters {
    fn new(native: &Parameters, job: &Job, echo: &WebuiEcho) -> Self {
        let scheduler = native.scheduler.as_ref().and_then(|scheduler| schedulers::find(scheduler.name()));
        let is_karras = scheduler.is_some_and(SchedulerInfo::needs_karras);
        let size = job.images.first().map_or((native.width, native.height), |image| (image.width, image.height));
        Self {
            prompt: native.prompt.clone().unwrap_or_default(),
            negative_prompt: native.negative_prompt.clone().unwrap_or_default(),
            styles: native.style.iter().cloned().collect(),
            seed: native.seed,
            sampler_name: scheduler.map_or("Automatic", |info| info.label),
            scheduler: if is_karras { "Karras" } else { "Automatic" },
            batch_size: echo.batch_size,
            n_iter: echo.n_iter,
            steps: native.steps,
            cfg_scale: native.guidance_scale,
            width: size.0,
            height: size.1,
            denoising_strength: native.strength,
        }
    }

    /// The text that programs show below an image.
    fn infotext(&self, seed: u64, model: &str, extra: &serde_json::Map<String, serde_json::Value>) -> String {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let negative = match self.negative_prompt.as_str() {
            "" => String::new(),
            text => format!("\nNegative prompt: {}", one_line(text)),
        };
        let strength = self.denoising_strength.map_or_else(String::new, |s| format!(", Denoising strength: {s}"));
        // As JSON: a comma would end it.
        let extra: Vec<String> = extra.iter().map(|(name, value)| format!(", {name}: {value}")).collect();
        let extra = extra.concat();
        format!(
            "{}{negative}\nSteps: {}, Sampler: {}, Schedule type: {}, CFG scale: {}, Seed: {seed}, Size: {}x{}, \
             Model: {model}{strength}{extra}, Version: {VERSION}",
            one_line(&self.prompt),
            self.steps,
            self.sampler_name,
            self.scheduler,
            self.cfg_scale,
            self.width,
            self.height,
        )
    }
}

impl ImagesInfo {
    fn new(parameters: RequestParameters, job: &Job) -> Self {
        let count = job.images.len();
        let blurred = job.images.iter().filter(|image| image.blurred);
        let blurred = blurred.map(|image| format!("image {} was blurred by moderation", image.index));
        let warnings = job.spec.warnings.iter().map(|warning| warning.message.clone());
        let extra = translated(job);
        Self {
            all_prompts: vec![parameters.prompt.clone(); count],
            all_negative_prompts: vec![parameters.negative_prompt.clone(); count],
            all_seeds: job.images.iter().map(|image| image.seed).collect(),
            subseed: -1,
            all_subseeds: vec![-1; count],
            subseed_strength: 0.0,
            restore_faces: false,
            face_restoration_model: None,
            sd_model_name: job.model.clone(),
            sd_model_hash: None,
            sd_vae_name: None,
            sd_vae_hash: None,
            seed_resize_from_w: -1,
            seed_resize_from_h: -1,
            infotexts: job.images.iter().map(|image| parameters.infotext(image.seed, &job.model, &extra)).collect(),
            extra_generation_params: extra,
            index_of_first_image: 0,
            job_timestamp: timestamp(job.created_at),
            clip_skip: 1,
            is_using_inpainting_conditioning: false,
            version: VERSION,
            warnings: warnings.chain(blurred).collect(),
            job_id: job.id,
            parameters,
        }
    }
}

/// What was drawn in place of texts that were translated, by names as programs show them.
fn translated(job: &Job) -> serde_json::Map<String, serde_json::Value> {
    let names = [("/prompt", "Prompt translated"), ("/negative_prompt", "Negative prompt translated")];
    let found = names.into_iter().filter_map(|(field, name)| {
        let text = job.spec.translations.iter().find(|text| text.field == field)?;
        Some((name.to_owned(), text.drawn.clone().into()))
    });
    found.collect()
}

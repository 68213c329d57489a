//! What generation routes have in common on the wire: the shared fields, and the forms of an answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{self, Content, ObjectBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};
use uuid::Uuid;

use super::image::Images;
use super::problem::Problem;
use crate::domain::{
    Common, Failure, FailureKind, Format, Generation, Input, Picture, PriorKind, PriorSettings, Scheduler, Size,
    Violations,
};
use crate::engine::StageName;
use crate::imaging;
use crate::queue;

/// Fields of every generation request.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(super) struct CommonBody {
    /// What to keep out of the picture: becomes the negative image embedding.
    pub negative_prompt: Option<String>,
    /// What guidance leads away from inside the prior.
    pub negative_prior_prompt: Option<String>,
    /// What guidance leads away from in the decoder's text.
    pub negative_decoder_prompt: Option<String>,
    /// px
    #[schema(minimum = 1, example = 64)]
    pub width: Option<u32>,
    /// px
    #[schema(minimum = 1, example = 64)]
    pub height: Option<u32>,
    /// Pictures; number i uses seed + i.
    #[schema(minimum = 1, default = 1)]
    pub n: Option<u32>,
    /// Absent: random. Always returned.
    #[schema(minimum = 0)]
    pub seed: Option<u64>,
    #[schema(minimum = 1, default = 50)]
    pub steps: Option<u32>,
    #[schema(minimum = 0, maximum = 100, default = 4.0)]
    pub guidance_scale: Option<f32>,
    /// `ddim`, `ddpm`, `dpmpp_2m`, `dpmpp_2m_karras`, `euler`, `euler_karras`, `euler_a` or `unipc`; absent: the model's own.
    pub scheduler: Option<String>,
    pub prior: Option<PriorBody>,
    /// DDIM's eta: 0 is deterministic, 1 as noisy as DDPM.
    #[schema(minimum = 0, maximum = 1, default = 0.0)]
    pub eta: Option<f32>,
    /// Decode through the codebook.
    #[serde(default)]
    pub quantize_latents: bool,
    /// Whatever else was sent, to be refused by name.
    #[serde(flatten)]
    #[schema(ignore)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// How text becomes an image embedding.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PriorBody {
    /// `diffusion`, `linear`, `residual` or `none`.
    pub kind: Option<String>,
    #[schema(minimum = 1, default = 25)]
    pub steps: Option<u32>,
    #[schema(minimum = 0, maximum = 100, default = 4.0)]
    pub guidance_scale: Option<f32>,
}

impl CommonBody {
    /// Fill in defaults; the result is still to be checked.
    pub(super) fn resolve(self, native: u32, violations: &mut Violations) -> Common {
        let defaults = Common::default();
        for name in self.unknown.keys() {
            violations.add(format!("/{name}"), "is not a field of this request");
        }
        let size = (self.width.is_some() || self.height.is_some())
            .then(|| Size { width: self.width.unwrap_or(native), height: self.height.unwrap_or(native) });
        let scheduler = self
            .scheduler
            .and_then(|name| name.parse::<Scheduler>().map_err(|message| violations.add("/scheduler", message)).ok());
        let prior = self.prior.unwrap_or_default();
        let kind = prior
            .kind
            .and_then(|name| name.parse::<PriorKind>().map_err(|message| violations.add("/prior/kind", message)).ok());
        let usual = PriorSettings::default();
        Common {
            negative_prompt: self.negative_prompt,
            negative_prior_prompt: self.negative_prior_prompt,
            negative_decoder_prompt: self.negative_decoder_prompt,
            size,
            n: self.n.unwrap_or(defaults.n),
            seed: self.seed.unwrap_or_else(random_seed),
            steps: self.steps.unwrap_or(defaults.steps),
            guidance_scale: self.guidance_scale.unwrap_or(defaults.guidance_scale),
            scheduler,
            eta: self.eta.unwrap_or(defaults.eta),
            prior: PriorSettings {
                kind: kind.unwrap_or(usual.kind),
                steps: prior.steps.unwrap_or(usual.steps),
                guidance_scale: prior.guidance_scale.unwrap_or(usual.guidance_scale),
            },
            quantize_latents: self.quantize_latents,
        }
    }
}

/// 32 random bits: PyTorch's generator uses no more of a seed.
fn random_seed() -> u64 {
    u64::from(Uuid::new_v4().as_fields().0)
}

/// A finished request.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GenerationAnswer {
    id: Uuid,
    #[schema(example = "succeeded")]
    status: &'static str,
    #[schema(example = "text-to-image")]
    mode: &'static str,
    #[schema(example = "kandinsky-mini")]
    model: String,
    images: Vec<ImageAnswer>,
    timings: Timings,
}

/// A finished picture.
#[derive(Debug, Serialize, ToSchema)]
struct ImageAnswer {
    index: usize,
    /// The seed that makes this picture alone.
    seed: u64,
    width: u32,
    height: u32,
    #[schema(example = "image/png")]
    media_type: &'static str,
    b64_json: String,
}

/// Where the time went, ms.
#[expect(clippy::struct_field_names, reason = "the unit belongs to the contract's names")]
#[derive(Debug, Serialize, ToSchema, Clone, Copy)]
struct Timings {
    prior_ms: u64,
    decoder_ms: u64,
    decode_ms: u64,
    total_ms: u64,
}

/// The format that `Accept` asks the bare picture in, if it does.
fn accepted_picture(headers: &HeaderMap) -> Option<Format> {
    let accept = headers.get(header::ACCEPT)?.to_str().ok()?;
    let media_type = accept.split(',').next()?.split(';').next()?.trim();
    [Format::Png, Format::Jpeg, Format::Webp].into_iter().find(|format| format.media_type() == media_type)
}

/// JPEG quality unless asked otherwise.
const QUALITY: u8 = 95;

/// Decode a request's pictures, check everything, make the pictures, and answer in the form that the client wants.
/// `input` is None where a picture was bad and said so.
pub(super) async fn generate(
    state: &super::AppState,
    headers: &HeaderMap,
    common: CommonBody,
    input: impl FnOnce(&mut Images) -> Option<Input> + Send + 'static,
) -> Result<Response, Problem> {
    let mut images = Images::new(&state.limits);
    let decoding = tokio::task::spawn_blocking(move || {
        let input = input(&mut images);
        (input, images)
    });
    let (input, images) = decoding.await.map_err(|error| {
        tracing::error!(%error, "decoding a request's pictures failed");
        Failure::new(FailureKind::Internal, "the pictures could not be read")
    })?;
    let mut violations = images.into_problem()?;
    let common = common.resolve(state.engine.info().native_size, &mut violations);
    let generation = input.map(|input| Generation { input, common });
    if let Some(Err(more)) =
        generation.as_ref().map(|generation| generation.check(&state.limits, Some(state.engine.info().native_size)))
    {
        violations.0.extend(more.0);
    }
    match generation {
        Some(generation) if violations.0.is_empty() => answer(state, generation, headers).await,
        _ => Err(violations.into()),
    }
}

/// The answers of every generation route, for the contract.
pub(super) struct GenerationResponses;

impl IntoResponses for GenerationResponses {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let bytes = || {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)))
                .build()
        };
        let picture = || Content::new(Some(bytes()));
        let success = ResponseBuilder::new()
            .description("The pictures; one picture's bytes where Accept names a picture's media type")
            .content("application/json", Content::new(Some(Ref::from_schema_name("GenerationAnswer"))))
            .content("image/png", picture())
            .content("image/jpeg", picture())
            .content("image/webp", picture());
        let problem = |description: &str| {
            ResponseBuilder::new()
                .description(description)
                .content("application/problem+json", Content::new(Some(Ref::from_schema_name("Problem"))))
                .build()
        };
        [
            ("200", success.build()),
            ("400", problem("Not parseable")),
            ("413", problem("Body or pixels too large")),
            ("415", problem("Not JSON")),
            ("422", problem("Out of range, or not possible with the loaded model")),
            ("500", problem("A fault of the server")),
            ("503", problem("Too many requests are waiting")),
        ]
        .into_iter()
        .map(|(status, response)| (status.to_owned(), RefOr::T(response)))
        .collect()
    }
}

/// Run a checked request and answer in the form that the client wants.
async fn answer(state: &super::AppState, generation: Generation, headers: &HeaderMap) -> Result<Response, Problem> {
    let format = accepted_picture(headers);
    if format.is_some() && generation.common.n > 1 {
        let mut violations = Violations::default();
        violations.add("/n", "must be 1 where the answer is one picture");
        return Err(violations.into());
    }
    let (mode, seed, id) = (generation.mode(), generation.common.seed, Uuid::now_v7());
    let started = Instant::now();
    let mut clock = Clock::default();
    let running = queue::submit(&state.engine, generation)?;
    let pictures = running.pictures(|stage, _, _| clock.enter(stage)).await?;
    let timings = clock.finish(started.elapsed());
    if let (Some(format), Some(picture)) = (format, pictures.first()) {
        let bytes = encode(picture, format, seed).await?;
        let mut response = ([(header::CONTENT_TYPE, format.media_type())], bytes).into_response();
        let headers = response.headers_mut();
        headers.insert("x-seed", HeaderValue::from(seed));
        if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
            headers.insert("x-job-id", id);
        }
        return Ok(response);
    }
    let mut images = Vec::with_capacity(pictures.len());
    for (index, picture) in pictures.iter().enumerate() {
        let seed = seed.wrapping_add(index as u64);
        let bytes = encode(picture, Format::Png, seed).await?;
        images.push(ImageAnswer {
            index,
            seed,
            width: picture.width,
            height: picture.height,
            media_type: Format::Png.media_type(),
            b64_json: base64::engine::general_purpose::STANDARD.encode(bytes),
        });
    }
    let model = state.engine.info().name.clone();
    Ok(Json(GenerationAnswer { id, status: "succeeded", mode: mode.name(), model, images, timings }).into_response())
}

async fn encode(picture: &Picture, format: Format, seed: u64) -> Result<Vec<u8>, Failure> {
    let picture = picture.clone();
    let seed = seed.to_string();
    tokio::task::spawn_blocking(move || imaging::encode(&picture, format, QUALITY, &[("seed", &seed)]))
        .await
        .map_err(|error| error.to_string())
        .and_then(|encoded| encoded.map_err(|error| error.to_string()))
        .map_err(|error| {
            tracing::error!(error, "encoding failed");
            Failure::new(FailureKind::Internal, "the picture could not be encoded")
        })
}

/// Measures stages by the events that announce them.
#[derive(Default)]
struct Clock {
    current: Option<(StageName, Instant)>,
    prior: Duration,
    decoder: Duration,
    decode: Duration,
}

impl Clock {
    fn enter(&mut self, stage: StageName) {
        let now = Instant::now();
        self.close(now);
        self.current = Some((stage, now));
    }

    fn close(&mut self, now: Instant) {
        if let Some((stage, since)) = self.current.take() {
            let spent = now.duration_since(since);
            match stage {
                StageName::Prior => self.prior += spent,
                StageName::Decoder => self.decoder += spent,
                StageName::Decode => self.decode += spent,
            }
        }
    }

    fn finish(mut self, total: Duration) -> Timings {
        self.close(Instant::now());
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Timings {
            prior_ms: ms(self.prior),
            decoder_ms: ms(self.decoder),
            decode_ms: ms(self.decode),
            total_ms: ms(total),
        }
    }
}

//! `/v1/capabilities`: what a front end needs to know to offer valid choices.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Acceleration, Common, Format, Priority, TranslateWhen};
use crate::http::context::AppState;
use crate::http::openapi::responses::AccessProblems;
use crate::http::submission::resolve::size_of_ratio;
use crate::modes::parameters::AccelerationParameters;
use crate::modes::request::names::{ASPECT_RATIOS, TranslateName};
use crate::modes::{DEFAULT_STRENGTH, MAX_FEATHER, Mode};
use crate::schedulers;
use crate::translation::Translation;

/// Prompts that suit the embedded small model.
const MINI_PROMPTS: [Example; 3] = [
    Example { en: "red heart on a blue background", ru: "красное сердце на синем фоне" },
    Example {
        en: "smiling face on a green background", ru: "улыбающееся лицо на зелёном фоне"
    },
    Example { en: "panda on a yellow background", ru: "панда на жёлтом фоне" },
];
/// Prompts that suit full models.
const PROMPTS: [Example; 3] = [
    Example {
        en: "a fox in a snowy forest at dawn, oil painting", ru: "лиса в снежном лесу на рассвете, масло"
    },
    Example { en: "a cat in glasses reading a newspaper", ru: "кот в очках читает газету" },
    Example {
        en: "still life with sunflowers, watercolour", ru: "натюрморт с подсолнухами, акварель"
    },
];

/// The choices that requests have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Capabilities {
    #[schema(example = "kandinsky-mini")]
    model: String,
    modes: Vec<ModeCapability>,
    limits: LimitsAnswer,
    sizes: Sizes,
    schedulers: Vec<&'static str>,
    priors: Vec<&'static str>,
    acceleration: AccelerationCapability,
    output_formats: Vec<&'static str>,
    priorities: Vec<&'static str>,
    /// Prompts that suit the model, in English and in Russian.
    example_prompts: Vec<&'static str>,
    /// The same, one entry a prompt.
    examples: Vec<Example>,
    defaults: Defaults,
    /// Whether requests need an API key.
    keys_required: bool,
    /// Whether a model enlarges images. None does yet: what is larger than the model draws is enlarged by resampling.
    upscaling: bool,
    translation: TranslationCapability,
}

/// A prompt in two languages.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
struct Example {
    #[schema(example = "red heart on a blue background")]
    en: &'static str,
    #[schema(example = "красное сердце на синем фоне")]
    ru: &'static str,
}

/// Ways to draw with less work that requests can ask for in `acceleration`.
#[derive(Debug, Serialize, ToSchema)]
struct AccelerationCapability {
    max_cache_interval: u32,
    /// Values that together draw at least three times as fast as the defaults, and nearly the same.
    fast: FastParameters,
}

/// Fields of a request that draws fast.
#[derive(Debug, Serialize, ToSchema)]
struct FastParameters {
    #[schema(example = 20)]
    steps: u32,
    acceleration: AccelerationParameters,
}

impl AccelerationCapability {
    /// As measured (docs/accelerations.md).
    fn measured() -> Self {
        let acceleration = AccelerationParameters { cache_interval: 2, guidance_start: 0.0, guidance_end: 1.0 };
        Self { max_cache_interval: Acceleration::MAX_CACHE_INTERVAL, fast: FastParameters { steps: 20, acceleration } }
    }
}

/// What requests are read as where they do not say.
#[derive(Debug, Serialize, ToSchema)]
struct Defaults {
    n: u32,
    steps: u32,
    guidance_scale: f32,
    /// The checkpoint's own; absent: it is none that requests can name.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<String>,
    /// Of image-to-image.
    strength: f64,
    prior: PriorDefaults,
    #[schema(example = "png")]
    output_format: &'static str,
}

/// What the prior is where requests do not say.
#[derive(Debug, Serialize, ToSchema)]
struct PriorDefaults {
    #[schema(example = "diffusion")]
    kind: &'static str,
    steps: u32,
    guidance_scale: f32,
}

/// Whether prompts are translated before they are drawn.
#[derive(Debug, Serialize, ToSchema)]
struct TranslationCapability {
    /// Whether the server translates at all; else `translate` has no effect.
    available: bool,
    /// The translator: `marian` or `libretranslate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "marian")]
    backend: Option<&'static str>,
    /// The language that is translated from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "ru")]
    from: Option<String>,
    /// The language that is translated into.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "en")]
    to: Option<String>,
    /// Which text encoders read the translations: `both`, or `clip` (the prior's alone; the decoder's reads the originals).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "both")]
    apply_to: Option<&'static str>,
    /// Which texts are translated where a request does not say.
    #[schema(value_type = TranslateName)]
    default: &'static str,
}

impl TranslationCapability {
    fn of(translation: Option<&Translation>) -> Self {
        let config = translation.map(Translation::config);
        Self {
            available: translation.is_some(),
            backend: translation.map(Translation::backend),
            from: config.map(|config| config.languages.from.clone()),
            to: config.map(|config| config.languages.to.clone()),
            apply_to: config.map(|config| config.apply_to.name()),
            default: config.map_or(TranslateWhen::Off, |config| config.when).name(),
        }
    }
}

/// A mode, and why it is unavailable if it is.
#[derive(Debug, Serialize, ToSchema)]
struct ModeCapability {
    #[schema(example = "text-to-image")]
    mode: &'static str,
    available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Limits of requests.
#[derive(Debug, Serialize, ToSchema)]
struct LimitsAnswer {
    max_side: u32,
    max_pixels: u64,
    max_input_side: u32,
    max_input_pixels: u64,
    max_steps: u32,
    max_pictures: u32,
    max_prompt_chars: usize,
    /// What becomes of a size that the model cannot draw: `fit` (it is drawn smaller and enlarged) or `refuse`.
    #[schema(example = "fit")]
    size_policy: &'static str,
    /// Most pixels of an image that is drawn smaller and enlarged.
    max_enlarged_pixels: u64,
    max_body_bytes: usize,
    /// Widest soft edge of what is repainted, px.
    max_feather: u32,
}

/// Sizes, px.
#[derive(Debug, Serialize, ToSchema)]
struct Sizes {
    default_width: u32,
    default_height: u32,
    /// Sizes in multiples of it are made without cropping; any size is allowed.
    step: u32,
    aspect_ratios: Vec<AspectRatio>,
}

/// A named aspect ratio, and the size that it stands for.
#[derive(Debug, Serialize, ToSchema)]
struct AspectRatio {
    #[schema(example = "3:2")]
    name: &'static str,
    width: u32,
    height: u32,
}

/// Read the capabilities of this server.
#[utoipa::path(get, path = "/v1/capabilities", tag = "models", responses(
    (status = 200, description = "Modes, limits, sizes and choices", body = Capabilities),
    AccessProblems,
))]
pub(crate) async fn capabilities(State(state): State<AppState>) -> Json<Capabilities> {
    let (info, limits) = (state.engine.info(), &state.limits);
    let (usual, examples) = (Common::default(), if info.native_size < 256 { MINI_PROMPTS } else { PROMPTS });
    let modes = Mode::ALL.map(|mode| {
        let reason = info.unavailable.iter().find(|(other, _)| *other == mode).map(|(_, reason)| reason.clone());
        ModeCapability { mode: mode.name(), available: reason.is_none(), reason }
    });
    let ratios = ASPECT_RATIOS.map(|(name, width, height)| {
        let size = size_of_ratio(info.native_size, info.size_step, width, height);
        AspectRatio { name, width: size.width, height: size.height }
    });
    Json(Capabilities {
        model: info.name.clone(),
        modes: modes.into(),
        limits: LimitsAnswer {
            max_side: limits.max_side,
            max_pixels: limits.max_pixels,
            max_input_side: limits.max_input_side,
            max_input_pixels: limits.max_input_pixels,
            max_steps: limits.max_steps,
            max_pictures: limits.max_pictures,
            max_prompt_chars: limits.max_prompt_chars,
            size_policy: limits.size_policy.name(),
            max_enlarged_pixels: limits.max_enlarged_pixels,
            max_body_bytes: state.max_body_bytes,
            max_feather: MAX_FEATHER,
        },
        sizes: Sizes {
            default_width: info.native_size,
            default_height: info.native_size,
            step: info.size_step,
            aspect_ratios: ratios.into(),
        },
        schedulers: schedulers::names(),
        priors: info.priors.iter().map(|kind| kind.name()).collect(),
        acceleration: AccelerationCapability::measured(),
        output_formats: Format::names(),
        priorities: Priority::names(),
        example_prompts: examples.iter().map(|e| e.en).chain(examples.iter().map(|e| e.ru)).collect(),
        examples: examples.into(),
        defaults: Defaults {
            n: usual.n,
            steps: usual.steps,
            guidance_scale: usual.guidance_scale,
            scheduler: info.scheduler.as_ref().map(ToString::to_string),
            strength: DEFAULT_STRENGTH,
            prior: PriorDefaults {
                kind: usual.prior.kind.name(),
                steps: usual.prior.steps,
                guidance_scale: usual.prior.guidance_scale,
            },
            output_format: Format::default().name(),
        },
        keys_required: state.auth.is_some(),
        upscaling: false,
        translation: TranslationCapability::of(state.translation.as_deref()),
    })
}

//! `/v1/capabilities`: what a front end needs to know to offer valid choices.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{Format, Priority, TranslateWhen};
use crate::http::context::AppState;
use crate::http::openapi::responses::KeyProblems;
use crate::http::submission::resolve::size_of_ratio;
use crate::modes::Mode;
use crate::modes::request::names::{ASPECT_RATIOS, TranslateName};
use crate::schedulers;
use crate::translation::Translation;

/// Prompts that suit the embedded small model.
const MINI_PROMPTS: [&str; 6] = [
    "red heart on a blue background",
    "smiling face on a green background",
    "panda on a yellow background",
    "красное сердце на жёлтом фоне",
    "улыбающееся лицо на синем фоне",
    "машина на белом фоне",
];
/// Prompts that suit full models.
const PROMPTS: [&str; 6] = [
    "a fox in a snowy forest at dawn, oil painting",
    "portrait of an old sailor, black and white photo",
    "a futuristic city seen from the air, golden hour",
    "осенний лес, акварель",
    "кот в очках читает газету",
    "натюрморт с подсолнухами",
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
    output_formats: Vec<&'static str>,
    priorities: Vec<&'static str>,
    example_prompts: Vec<&'static str>,
    translation: TranslationCapability,
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
    KeyProblems,
))]
pub(crate) async fn capabilities(State(state): State<AppState>) -> Json<Capabilities> {
    let (info, limits) = (state.engine.info(), &state.limits);
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
        },
        sizes: Sizes {
            default_width: info.native_size,
            default_height: info.native_size,
            step: info.size_step,
            aspect_ratios: ratios.into(),
        },
        schedulers: schedulers::names(),
        priors: info.priors.iter().map(|kind| kind.name()).collect(),
        output_formats: Format::names(),
        priorities: Priority::names(),
        translation: TranslationCapability::of(state.translation.as_deref()),
        example_prompts: if info.native_size < 256 { MINI_PROMPTS.into() } else { PROMPTS.into() },
    })
}

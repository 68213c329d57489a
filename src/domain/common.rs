//! The fields that all modes share, their defaults and their limits.

use std::fmt;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::acceleration::Acceleration;
use super::error::Violations;
use super::image::Size;
use super::named::{impl_names, unknown_name};
use super::prompt::{PromptSyntax, PromptText};
use super::scheduler::Scheduler;
use super::size_policy::{SizePolicy, at_native_area, is_drawn_well, pixels};
use super::translation::TranslatedText;

/// Decoder sampling steps unless asked otherwise.
const DEFAULT_STEPS: u32 = 50;
const DEFAULT_GUIDANCE_SCALE: f32 = 4.0;
const DEFAULT_PRIOR_STEPS: u32 = 25;

/// Bounds that the operator sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Longest side of an image, px.
    pub max_side: u32,
    /// Most pixels of one image.
    pub max_pixels: u64,
    /// The same in areas of the model's own square: attention grows with the square of the area.
    pub max_areas: u32,
    /// Longest side of an image that is sent in, px.
    pub max_input_side: u32,
    /// Most pixels of one that is sent in.
    pub max_input_pixels: u64,
    pub max_steps: u32,
    /// Most images of one request.
    pub max_pictures: u32,
    /// Longest prompt, characters.
    pub max_prompt_chars: usize,
    /// What becomes of sizes that the model cannot draw.
    pub size_policy: SizePolicy,
    /// Most pixels of an image that is drawn smaller and enlarged.
    pub max_enlarged_pixels: u64,
}

impl Limits {
    /// No bounds, for tools and tests that make their own requests.
    pub const UNBOUNDED: Self = Self {
        max_side: u32::MAX,
        max_pixels: u64::MAX,
        max_areas: u32::MAX,
        max_input_side: u32::MAX,
        max_input_pixels: u64::MAX,
        max_steps: u32::MAX,
        max_pictures: u32::MAX,
        max_prompt_chars: usize::MAX,
        size_policy: SizePolicy::Refuse,
        max_enlarged_pixels: u64::MAX,
    };

    /// These, as they are for a model whose own size is `native` px.
    #[must_use]
    pub fn for_model(&self, native: u32) -> Self {
        let own = u64::from(native) * u64::from(native);
        Self { max_pixels: self.max_pixels.min(own.saturating_mul(u64::from(self.max_areas))), ..self.clone() }
    }

    /// These, for results that are not drawn as a whole: they may be as large as images that are sent in.
    #[must_use]
    pub fn for_parts(&self) -> Self {
        Self {
            max_side: self.max_side.max(self.max_input_side),
            max_pixels: self.max_pixels.max(self.max_input_pixels),
            ..self.clone()
        }
    }

    /// These, with the size policy that is usual for the model.
    #[must_use]
    pub fn with_usual_policy(&self, is_embedded: bool) -> Self {
        let size_policy = match self.size_policy {
            SizePolicy::Auto if is_embedded => SizePolicy::Fit,
            SizePolicy::Auto => SizePolicy::Refuse,
            chosen => chosen,
        };
        Self { size_policy, ..self.clone() }
    }

    /// The size that a model whose own size is `native` px draws where `size` is asked for and is too large for it. `None`: it
    /// draws that as it is, or refuses it.
    #[must_use]
    pub fn fit(&self, size: Size, native: u32) -> Option<Size> {
        let allowed = size.width.max(size.height) <= self.max_side && pixels(size) <= self.max_pixels;
        let is_drawn = allowed && is_drawn_well(size, native);
        (self.size_policy == SizePolicy::Fit && !is_drawn).then(|| at_native_area(size, native))
    }

    /// A size of results within the limits, also if it comes about by enlarging; `pointers`: where width and height come from.
    pub fn check_result_size(&self, size: Size, pointers: (&str, &str), violations: &mut Violations) {
        let enlarged = if self.size_policy == SizePolicy::Fit { self.max_enlarged_pixels } else { 0 };
        Self { max_pixels: self.max_pixels.max(enlarged), ..self.clone() }.check_size(size, pointers, violations);
    }

    /// A text within the limit of its length, without NUL.
    pub fn check_text(&self, text: &str, pointer: &str, violations: &mut Violations) {
        let max = self.max_prompt_chars;
        violations.require(
            text.chars().count() <= max,
            pointer,
            format!("must have at most {max} characters (limits.max_prompt_chars)"),
        );
        violations.require(!text.contains('\0'), pointer, "must not contain NUL characters");
    }

    /// A size of results within the limits; `pointers`: where width and height come from.
    pub fn check_size(&self, size: Size, pointers: (&str, &str), violations: &mut Violations) {
        let max = self.max_side;
        for (side, pointer) in [(size.width, pointers.0), (size.height, pointers.1)] {
            violations.require(
                (1..=max).contains(&side),
                pointer,
                format!("must be 1 to {max} px a side (limits.max_side)"),
            );
        }
        let (most, side) = (self.max_pixels, self.max_pixels.isqrt());
        let message = format!(
            "must have at most {most} px in all (width times height), such as {side}x{side} (limits.max_pixels, limits.max_areas)"
        );
        violations.require(pixels(size) <= most, pointers.0, message);
    }
}

/// How text becomes an image embedding (the rows of the paper's table 3).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum PriorKind {
    #[default]
    Diffusion,
    Linear,
    Residual,
    /// The text embedding itself.
    None,
}

impl_names!(PriorKind);

impl fmt::Display for PriorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the prior samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PriorSettings {
    pub kind: PriorKind,
    pub steps: u32,
    pub guidance_scale: f32,
}

impl Default for PriorSettings {
    fn default() -> Self {
        Self { kind: PriorKind::Diffusion, steps: DEFAULT_PRIOR_STEPS, guidance_scale: DEFAULT_GUIDANCE_SCALE }
    }
}

/// What all modes share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Common {
    pub negative_prompt: Option<String>,
    pub negative_prior_prompt: Option<String>,
    /// None: as `negative_prompt`.
    pub negative_decoder_prompt: Option<String>,
    /// None: the mode's own choice.
    pub size: Option<Size>,
    /// The size at which the model draws, where results are enlarged. None: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Size>,
    /// Images; number i uses `seed + i`.
    pub n: u32,
    pub seed: u64,
    pub steps: u32,
    pub guidance_scale: f32,
    /// None: the checkpoint's own.
    pub scheduler: Option<Scheduler>,
    /// DDIM's eta.
    pub eta: f32,
    pub prior: PriorSettings,
    pub quantize_latents: bool,
    /// How brackets in all texts are read.
    #[serde(default)]
    pub prompt_syntax: PromptSyntax,
    #[serde(default, skip_serializing_if = "Acceleration::is_off")]
    pub acceleration: Acceleration,
    /// Translated texts that the decoder reads as they were sent; the prior reads the translations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decoder_originals: Vec<TranslatedText>,
}

impl Default for Common {
    fn default() -> Self {
        Self {
            negative_prompt: None,
            negative_prior_prompt: None,
            negative_decoder_prompt: None,
            size: None,
            drawn: None,
            n: 1,
            seed: 0,
            steps: DEFAULT_STEPS,
            guidance_scale: DEFAULT_GUIDANCE_SCALE,
            scheduler: None,
            eta: 0.0,
            prior: PriorSettings::default(),
            quantize_latents: false,
            prompt_syntax: PromptSyntax::Plain,
            acceleration: Acceleration::default(),
            decoder_originals: Vec::new(),
        }
    }
}

impl Common {
    /// What guidance leads away from in the decoder's text, with the JSON pointer of its field.
    #[must_use]
    pub fn decoder_negative(&self) -> Option<(&'static str, &String)> {
        let own = self.negative_decoder_prompt.as_ref().map(|text| ("/negative_decoder_prompt", text));
        own.or_else(|| Some(("/negative_prompt", self.negative_prompt.as_ref()?)))
    }

    /// A text of this request as encoders read it.
    #[must_use]
    pub fn read(&self, text: &str) -> PromptText {
        PromptText::read(text, self.prompt_syntax)
    }

    /// The text of the field with this JSON pointer as the decoder's encoder reads it.
    #[must_use]
    pub fn read_for_decoder(&self, pointer: &str, text: &str) -> PromptText {
        let original = self.decoder_originals.iter().find(|translated| translated.field == pointer);
        self.read(original.map_or(text, |translated| &translated.original))
    }

    /// Check all fields but the size; every violation is noted.
    pub fn check(&self, limits: &Limits, violations: &mut Violations) {
        for (pointer, text) in [
            ("/negative_prompt", &self.negative_prompt),
            ("/negative_prior_prompt", &self.negative_prior_prompt),
            ("/negative_decoder_prompt", &self.negative_decoder_prompt),
        ] {
            if let Some(text) = text {
                limits.check_text(text, pointer, violations);
            }
        }
        for (value, max, setting, pointer) in [
            (self.n, limits.max_pictures, "max_pictures", "/n"),
            (self.steps, limits.max_steps, "max_steps", "/steps"),
            (self.prior.steps, limits.max_steps, "max_steps", "/prior/steps"),
        ] {
            let message = format!("must be 1 to {max} (limits.{setting})");
            violations.require((1..=max).contains(&value), pointer, message);
        }
        let last = self.seed.saturating_add(u64::from(self.n.saturating_sub(1)));
        violations.require(i64::try_from(last).is_ok(), "/seed", "must be 0 to 2^63 - 1, seed + n - 1 as well");
        for (value, pointer) in
            [(self.guidance_scale, "/guidance_scale"), (self.prior.guidance_scale, "/prior/guidance_scale")]
        {
            violations.require((0.0..=100.0).contains(&value), pointer, "must be 0 to 100");
        }
        violations.require((0.0..=1.0).contains(&self.eta), "/eta", "must be 0 to 1");
        self.acceleration.check(violations);
    }
}

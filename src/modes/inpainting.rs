//! Inpainting (paper section 3): an image with a part repainted (the reference's `KandinskyInpaintPipeline`).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::cover::covering_part;
use super::flags::{self, Flag};
use super::request::masks::{Mask, NOTHING_MARKED, REPAINTED};
use super::request::names::MaskConventionName;
use super::request::{CommonBody, Fields, FormBody, ImageBody, ImageDecoder, ModeBody, ReadFields};
use super::repainting::{Hole, Repainting, RepaintingBody, marked_part};
use super::{Composite, GenerationMode, Input, Mode, ModeInput, Parameters, Samples};
use crate::domain::{Common, Image, Limits, MaskConvention, Size, Violations};
use crate::imaging::{self, DigitalSource, Edge};

/// Widest soft edge, px.
pub const MAX_FEATHER: u32 = 256;
/// What is wrong with a mask that lost its marks.
const NOTHING_LEFT: &str = "marks nothing of what is left once the image is cropped to the proportions of the size asked for";

/// Inputs of inpainting.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inpainting {
    /// `None`: the image itself is the prompt.
    pub prompt: Option<String>,
    /// RGB, or RGBA whose transparency is kept outside of the mask.
    pub image: Image,
    /// As large as the image; 128 and more is repainted.
    pub mask: Image,
    /// Return the pixels outside of the mask unchanged, bit by bit.
    pub composite: bool,
    /// Width of the soft edge inside the repainted area, px.
    pub feather: u32,
    /// Blend by the values of the mask.
    #[serde(default)]
    pub soft_mask: bool,
    #[serde(default)]
    pub repainting: Repainting,
    /// The size of the image before it was cropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cropped_from: Option<Size>,
}

impl Inpainting {
    /// Inputs with the defaults of what is optional.
    #[must_use]
    pub fn new(prompt: Option<String>, image: Image, mask: Image) -> Self {
        Self {
            prompt,
            image,
            mask,
            composite: true,
            feather: 0,
            soft_mask: false,
            repainting: Repainting::default(),
            cropped_from: None,
        }
    }

    /// The lowest value of the mask that changes something.
    fn least_mark(&self) -> u8 {
        if self.soft_mask { 1 } else { REPAINTED }
    }

    /// Crop image and mask to the proportions of the result, where anything is known that would be stretched.
    fn crop_to(&mut self, result: Size) {
        let (image, least) = (self.image.size(), self.least_mark());
        let is_known = |mark: &u8| if self.soft_mask { *mark < 255 } else { *mark < REPAINTED };
        if self.mask.size() != image || !self.mask.pixels().iter().any(is_known) {
            return;
        }
        let part = covering_part(image, result, marked_part(&self.mask, least));
        if part.size() != image {
            (self.image, self.mask) = (imaging::crop(&self.image, part), imaging::crop(&self.mask, part));
            self.cropped_from = Some(image);
        }
    }
}

impl ModeInput for Inpainting {
    fn check(&self, limits: &Limits, violations: &mut Violations) {
        if let Some(text) = &self.prompt {
            limits.check_text(text, "/prompt", violations);
        }
        let size = self.image.size();
        violations.require(
            self.mask.size() == size,
            "/mask",
            format!(
                "must have the size of the image, {}x{}; it has {}x{}",
                size.width,
                size.height,
                self.mask.width(),
                self.mask.height()
            ),
        );
        let nothing = self.cropped_from.map_or(NOTHING_MARKED, |_| NOTHING_LEFT);
        violations.require(self.mask.pixels().iter().any(|x| *x >= REPAINTED), "/mask", nothing);
        check_feather(self.feather, violations);
        self.repainting.check(violations);
    }

    fn settle(&mut self, common: &mut Common, native: u32, limits: &Limits) {
        let size = common.size.unwrap_or(self.image.size());
        self.crop_to(size);
        let from = self.image.size();
        self.repainting.work = marked_part(&self.mask, self.least_mark()).and_then(|marked| {
            let hole = Hole { size, marked: marked.resized(from, size), composite: self.composite };
            self.repainting.plan(hole, native, limits)
        });
    }

    fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        self.prompt.iter_mut().map(|text| ("/prompt".to_owned(), text)).collect()
    }

    fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        (vec![&mut self.image], Some(&mut self.mask))
    }

    fn default_size(&self, _: u32) -> Option<Size> {
        Some(self.image.size())
    }

    fn size_pointers(&self) -> (&'static str, &'static str) {
        ("/image", "/image")
    }

    fn cropped(&self) -> Option<(Size, Size)> {
        self.cropped_from.map(|from| (from, self.image.size()))
    }

    fn repainting(&self) -> Option<&Repainting> {
        Some(&self.repainting)
    }

    fn composite(&self) -> Option<Composite> {
        let (original, mask) = (self.image.clone(), self.mask.clone());
        let edge = Edge { feather: self.feather, soft: self.soft_mask };
        self.composite.then_some(Composite { original, mask, edge })
    }

    fn describe(&self, parameters: &mut Parameters) {
        parameters.prompt.clone_from(&self.prompt);
        parameters.composite = Some(self.composite);
        parameters.feather = Some(self.feather);
        parameters.soft_mask = Some(self.soft_mask);
        self.repainting.describe(parameters);
    }
}

impl GenerationMode for Inpainting {
    type Body = InpaintingBody;

    const SUMMARY: &'static str = "Repaint the masked part of an image.";
    const DESCRIPTION: &'static str = "Pixels outside of the mask are returned unchanged.";
    const SOURCE: DigitalSource = DigitalSource::CompositeWithTrainedAlgorithmicMedia;
    const REPAINTS: bool = true;
    const FLAGS: &'static [Flag] = &[
        flags::PROMPT,
        flags::IMAGE,
        Flag::file("mask", "inpainting: the part to repaint"),
        Flag::text(
            "mask-convention",
            "CONVENTION",
            "inpainting: which mask pixels are repainted: white, black, or alpha (the transparent ones) [default: white]",
        ),
        flags::FEATHER,
        Flag::json(
            "soft-mask",
            "BOOL",
            "inpainting: true blends by the mask's gray values, false repaints from one half on [default: true for masks \
             of convention alpha]",
        ),
        flags::REGION,
        flags::PADDING,
        flags::MATCH_COLORS,
        flags::NO_COMPOSITE,
    ];

    fn example(size: Size, samples: &mut dyn Samples) -> Value {
        json!({"prompt": samples.prompt(), "image": samples.image(size), "mask": samples.mask(size)})
    }
}

/// An image with a part repainted.
#[derive(Debug, ToSchema)]
pub struct InpaintingBody {
    image: ImageBody,
    /// As large as the image, or of another size in the same proportions; then it is scaled.
    mask: ImageBody,
    /// Which mask pixels are repainted: `white`, `black`, or `alpha` (the transparent ones). In a mask of `white` or `black`,
    /// what is transparent is not marked. With `alpha`, the mask may be the image itself: the colors that it has under its
    /// transparency are used. Default: `white`.
    #[schema(value_type = Option<MaskConventionName>)]
    mask_convention: Option<String>,
    /// English or Russian. Default: the rest of the image is the prompt.
    prompt: Option<String>,
    /// Blend the new and the old pixels by the mask's gray values (of `alpha`: by its transparency). If false, values from one
    /// half on are repainted, and others are not. Default: true for `alpha`, else false.
    soft_mask: Option<bool>,
    /// Return the pixels outside of the mask unchanged, bit by bit, with their transparency. (The model sees it on white, and a
    /// JPEG has it on white.) Default: true.
    composite: Option<bool>,
    /// Width of the soft edge inside the repainted area, px. Default: 0.
    #[schema(maximum = 256)]
    feather: Option<u32>,
    #[serde(flatten)]
    repainting: RepaintingBody,
    #[serde(flatten)]
    common: CommonBody,
}

pub(super) fn check_feather(feather: u32, violations: &mut Violations) {
    violations.require(feather <= MAX_FEATHER, "/feather", format!("must be 0 to {MAX_FEATHER} px"));
}

impl InpaintingBody {
    fn convention(&self) -> Result<MaskConvention, String> {
        self.mask_convention.as_deref().map_or(Ok(MaskConvention::default()), str::parse)
    }
}

impl ReadFields for InpaintingBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            image: fields.required("image"),
            mask: fields.required("mask"),
            mask_convention: fields.name("mask_convention"),
            prompt: fields.optional("prompt"),
            soft_mask: fields.optional("soft_mask"),
            composite: fields.optional("composite"),
            feather: fields.optional("feather"),
            repainting: RepaintingBody::read(fields),
            common: CommonBody::read(fields),
        }
    }
}

impl FormBody for InpaintingBody {}

impl ModeBody for InpaintingBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::Inpainting)
    }

    fn take_common(&mut self, _: &mut Violations) -> CommonBody {
        std::mem::take(&mut self.common)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        self.prompt.iter().map(|prompt| ("/prompt".to_owned(), prompt.as_str())).collect()
    }

    fn check(&self, violations: &mut Violations) {
        if let Err(message) = self.convention() {
            violations.add("/mask_convention", message);
        }
        check_feather(self.feather.unwrap_or(0), violations);
        self.repainting.check(violations);
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image), ("/mask".to_owned(), &mut self.mask)]
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        self.repainting.check(&mut decoder.violations);
        let convention = match self.convention() {
            Ok(convention) => convention,
            Err(message) => {
                decoder.violations.add("/mask_convention", message);
                return None;
            }
        };
        let soft_mask = self.soft_mask.unwrap_or(convention == MaskConvention::Alpha);
        let mask = Mask { body: &self.mask, pointer: "/mask", convention, soft: soft_mask };
        decoder.image_and_mask((&self.image, "/image"), mask).map(|(image, mask)| {
            let (composite, feather) = (self.composite.unwrap_or(true), self.feather.unwrap_or(0));
            let repainting = self.repainting.into_repainting(false);
            let inpainting = Inpainting::new(self.prompt, image, mask);
            Inpainting { composite, feather, soft_mask, repainting, ..inpainting }.into()
        })
    }
}

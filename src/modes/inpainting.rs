//! Inpainting (paper section 3): an image with a part repainted (the reference's `KandinskyInpaintPipeline`).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::flags::{self, Flag};
use super::request::names::MaskConventionName;
use super::request::{CommonBody, Fields, FormBody, ImageBody, ImageDecoder, ModeBody, ReadFields};
use super::{Composite, GenerationMode, Input, Mode, ModeInput, Parameters, Samples};
use crate::domain::{Image, Limits, MaskConvention, Size, Violations};
use crate::imaging::DigitalSource;

/// Widest soft edge, px.
const MAX_FEATHER: u32 = 256;
/// The lowest value of a mask that is repainted.
const REPAINTED: u8 = 128;

/// Inputs of inpainting.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Inpainting {
    /// `None`: the image itself is the prompt.
    pub prompt: Option<String>,
    pub image: Image,
    /// As large as the image; 128 and more is repainted.
    pub mask: Image,
    /// Return the pixels outside of the mask unchanged, bit by bit.
    pub composite: bool,
    /// Width of the soft edge inside the repainted area, px.
    pub feather: u32,
}

impl ModeInput for Inpainting {
    fn check(&self, limits: &Limits, violations: &mut Violations) {
        if let Some(text) = &self.prompt {
            limits.check_text(text, "/prompt", violations);
        }
        let size = self.image.size();
        limits.check_size(size, ("/image", "/image"), violations);
        violations.require(
            self.mask.size() == size,
            "/mask",
            format!("must have the size of the image, {}x{}", size.width, size.height),
        );
        violations.require(self.mask.pixels().iter().any(|x| *x >= REPAINTED), "/mask", "marks nothing to repaint");
        check_feather(self.feather, violations);
    }

    fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        self.prompt.iter_mut().map(|text| ("/prompt".to_owned(), text)).collect()
    }

    fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        (vec![&mut self.image], Some(&mut self.mask))
    }

    fn default_size(&self) -> Option<Size> {
        Some(self.image.size())
    }

    fn composite(&self) -> Option<Composite> {
        let (original, mask) = (self.image.clone(), self.mask.clone());
        self.composite.then_some(Composite { original, mask, feather: self.feather })
    }

    fn describe(&self, parameters: &mut Parameters) {
        parameters.prompt.clone_from(&self.prompt);
        parameters.composite = Some(self.composite);
        parameters.feather = Some(self.feather);
    }
}

impl GenerationMode for Inpainting {
    type Body = InpaintingBody;

    const SUMMARY: &'static str = "Repaint the masked part of an image.";
    const DESCRIPTION: &'static str = "Pixels outside of the mask are returned unchanged.";
    const SOURCE: DigitalSource = DigitalSource::CompositeWithTrainedAlgorithmicMedia;
    const FLAGS: &'static [Flag] = &[
        flags::PROMPT,
        flags::IMAGE,
        Flag::file("mask", "inpainting: the part to repaint"),
        Flag::text(
            "mask-convention",
            "CONVENTION",
            "inpainting: which mask pixels are repainted: white, black, or alpha (the transparent ones) [default: white]",
        ),
        Flag::json("feather", "PX", "inpainting: width of the soft edge inside the repainted area, px [default: 0]"),
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
    /// As large as the image.
    mask: ImageBody,
    /// Which mask pixels are repainted: `white`, `black`, or `alpha` (the transparent ones). Default: `white`.
    #[schema(value_type = Option<MaskConventionName>)]
    mask_convention: Option<String>,
    /// English or Russian. Default: the rest of the image is the prompt.
    prompt: Option<String>,
    /// Return the pixels outside of the mask unchanged, bit by bit (of an image with transparency: as they look on white).
    /// Default: true.
    composite: Option<bool>,
    /// Width of the soft edge inside the repainted area, px. Default: 0.
    #[schema(maximum = 256)]
    feather: Option<u32>,
    #[serde(flatten)]
    common: CommonBody,
}

fn check_feather(feather: u32, violations: &mut Violations) {
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
            composite: fields.optional("composite"),
            feather: fields.optional("feather"),
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
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image), ("/mask".to_owned(), &mut self.mask)]
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        let convention = match self.convention() {
            Ok(convention) => convention,
            Err(message) => {
                decoder.violations.add("/mask_convention", message);
                return None;
            }
        };
        let image = decoder.image(&self.image, "/image");
        let mask = decoder.mask(&self.mask, convention, "/mask");
        image.zip(mask).map(|(image, mask)| {
            let (composite, feather) = (self.composite.unwrap_or(true), self.feather.unwrap_or(0));
            Inpainting { prompt: self.prompt, image, mask, composite, feather }.into()
        })
    }
}

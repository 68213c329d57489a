//! The two calls that make images, translated to modes.

use utoipa::ToSchema;

use super::hires::HiresFields;
use super::shared_fields::WebuiFields;
use crate::domain::{Image, MaskConvention, Region, Size, Violations, Warning, WarningCode, is_blank};
use crate::imaging;
use crate::modes::request::masks::Mask;
use crate::modes::request::{CommonBody, Fields, FormBody, ImageBody, ImageDecoder, ModeBody, ReadFields, Unknown};
use crate::modes::{ImageToImage, Inpainting, Input, Mode, Repainting, TextToImage};

/// This API's own strength, and its soft edge of masks, px.
const STRENGTH: f64 = 0.75;
const MASK_BLUR: u32 = 4;
/// Ways of bringing an image of other proportions to the size that is asked for: stretch it, or fill it up.
const STRETCH: [i64; 2] = [0, 3];
const FILL_UP: i64 = 2;

/// One of the two calls.
pub(super) trait WebuiBody: ModeBody {
    fn shared(&self) -> &WebuiFields;
}

/// Images from a prompt.
#[derive(Debug, ToSchema)]
pub(crate) struct Txt2ImgBody {
    #[serde(flatten)]
    hires: HiresFields,
    #[serde(flatten)]
    shared: WebuiFields,
}

impl ReadFields for Txt2ImgBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { hires: HiresFields::read(fields), shared: WebuiFields::read(fields) }
    }
}

impl FormBody for Txt2ImgBody {
    const UNKNOWN: Unknown = Unknown::Reported;
}

impl WebuiBody for Txt2ImgBody {
    fn shared(&self) -> &WebuiFields {
        &self.shared
    }
}

impl ModeBody for Txt2ImgBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::TextToImage)
    }

    fn take_common(&mut self, violations: &mut Violations) -> CommonBody {
        let mut common = self.shared.take_common(violations);
        self.hires.enlarge(&mut common, violations);
        common
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        vec![("/prompt".to_owned(), &self.shared.prompt)]
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        Vec::new()
    }

    fn into_input(self, _: &mut ImageDecoder) -> Option<Input> {
        Some(TextToImage { prompt: self.shared.prompt }.into())
    }
}

/// An image redrawn by a prompt, or its masked part repainted.
#[derive(Debug, ToSchema)]
pub(crate) struct Img2ImgBody {
    /// One image.
    init_images: Vec<ImageBody>,
    /// What is white in it is repainted; where it has transparency, what is opaque.
    mask: Option<ImageBody>,
    /// Whether to repaint the rest instead. Default: false.
    inpainting_mask_invert: Option<bool>,
    /// Width of the soft edge inside the repainted area, px. Default: 4.
    #[schema(minimum = 0, maximum = 256)]
    mask_blur: Option<f64>,
    /// Whether to repaint a region around the mask at the model's own size; the image keeps its size then, and `width` and
    /// `height` are not read. Default: true.
    inpaint_full_res: Option<bool>,
    /// What of the rest is seen around the mask then, at the least, px. Default, and 0: what suits the model.
    #[schema(minimum = 0)]
    inpaint_full_res_padding: Option<u32>,
    /// 0 keeps the image, 1 ignores it. Without effect on what a mask marks, which is painted anew. Default: 0.75.
    #[schema(minimum = 0, maximum = 1)]
    denoising_strength: Option<f64>,
    /// An image of other proportions than `width` and `height` is stretched if it is 0 or 3, and cropped if it is 1. 2 (fill up) is
    /// refused for one. Default: 1.
    #[schema(minimum = 0, maximum = 3)]
    resize_mode: Option<i64>,
    /// Without effect: what is marked is painted anew.
    inpainting_fill: Option<i64>,
    #[serde(flatten)]
    shared: WebuiFields,
}

impl ReadFields for Img2ImgBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.rename("mask_blur", &["mask_blur_x"]);
        fields.take("mask_blur_y");
        Self {
            init_images: fields.required("init_images"),
            mask: fields.optional("mask").filter(|mask| !matches!(mask, ImageBody::Text(text) if text.is_empty())),
            inpainting_mask_invert: fields.optional("inpainting_mask_invert"),
            mask_blur: fields.optional("mask_blur"),
            inpaint_full_res: fields.optional("inpaint_full_res"),
            inpaint_full_res_padding: fields.optional("inpaint_full_res_padding"),
            denoising_strength: fields.optional("denoising_strength"),
            resize_mode: fields.optional("resize_mode"),
            inpainting_fill: fields.optional("inpainting_fill"),
            shared: WebuiFields::read(fields),
        }
    }
}

impl FormBody for Img2ImgBody {
    const UNKNOWN: Unknown = Unknown::Reported;
}

impl WebuiBody for Img2ImgBody {
    fn shared(&self) -> &WebuiFields {
        &self.shared
    }
}

impl Img2ImgBody {
    /// Whether a region around the mask is worked on, and the image keeps its size.
    fn works_on_region(&self) -> bool {
        self.mask.is_some() && self.inpaint_full_res.unwrap_or(true)
    }

    /// Stretch an image of other proportions than the result's, if that is asked for in so many words.
    fn resize(&self, image: Image, mask: Option<Image>, decoder: &mut ImageDecoder) -> Option<(Image, Option<Image>)> {
        let size = self.shared.width.zip(self.shared.height).map(|(width, height)| Size { width, height });
        let (Some(size), Some(mode)) = (size, self.resize_mode) else { return Some((image, mask)) };
        if self.works_on_region() || image.size().agrees_with(size) {
            return Some((image, mask));
        }
        if mode == FILL_UP {
            let message = "must be 0, 1 or 3 for an image of other proportions than width and height";
            decoder.violations.add("/resize_mode", message);
            return None;
        }
        if !STRETCH.contains(&mode) {
            return Some((image, mask));
        }
        let Size { width, height } = image.size();
        let message = format!("the image of {width}x{height} px is stretched to {}x{}", size.width, size.height);
        decoder.warnings.push(Warning::new(WarningCode::InputConverted, message).at("/resize_mode"));
        Some((imaging::resize(&image, size), mask.map(|mask| imaging::fit_mask(&mask, size))))
    }
}

fn inverted(mut mask: Image) -> Image {
    mask.pixels_mut().iter_mut().for_each(|gray| *gray = 255 - *gray);
    mask
}

impl ModeBody for Img2ImgBody {
    fn mode(&self) -> Option<Mode> {
        Some(if self.mask.is_some() { Mode::Inpainting } else { Mode::ImageToImage })
    }

    fn take_common(&mut self, violations: &mut Violations) -> CommonBody {
        let mut common = self.shared.take_common(violations);
        if self.works_on_region() {
            (common.width, common.height) = (None, None);
        }
        let is_kept = self.denoising_strength.is_some_and(|strength| strength < 1.0);
        if self.mask.is_some() && (is_kept || self.inpainting_fill.is_some_and(|fill| fill == 1)) {
            let message = "what the mask marks is painted anew, without regard to what was there";
            let warning = Warning::new(WarningCode::FieldIgnored, message);
            common.warnings.push(warning.at(if is_kept { "/denoising_strength" } else { "/inpainting_fill" }));
        }
        common
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        vec![("/prompt".to_owned(), &self.shared.prompt)]
    }

    fn check(&self, violations: &mut Violations) {
        violations.require(self.init_images.len() == 1, "/init_images", "must have one image");
        let is_valid = self.denoising_strength.is_none_or(|strength| (0.0..=1.0).contains(&strength));
        violations.require(is_valid, "/denoising_strength", "must be 0 to 1");
        let is_valid = self.mask_blur.is_none_or(|blur| (0.0..=256.0).contains(&blur));
        violations.require(is_valid, "/mask_blur", "must be 0 to 256");
        let is_valid = self.resize_mode.is_none_or(|mode| (0..=3).contains(&mode));
        violations.require(is_valid, "/resize_mode", "must be 0 to 3");
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        let images = self.init_images.iter_mut().map(|image| ("/init_images/0".to_owned(), image));
        images.chain(self.mask.as_mut().map(|mask| ("/mask".to_owned(), mask))).collect()
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        let image = (self.init_images.first()?, "/init_images/0");
        match &self.mask {
            None => {
                let image = decoder.image(image.0, image.1)?;
                let (image, _) = self.resize(image, None, decoder)?;
                let strength = self.denoising_strength.unwrap_or(STRENGTH);
                Some(ImageToImage::new(self.shared.prompt, image, Some(strength)).into())
            }
            Some(mask) => {
                // Where a mask has transparency, that is what it says: the opaque part is marked, whatever its color.
                let opaque =
                    decoder.own_mask(mask).and_then(|transparent| imaging::to_png(&inverted(transparent)).ok());
                let opaque = opaque.map(ImageBody::Bytes);
                let is_rest = self.inpainting_mask_invert.unwrap_or(false);
                let convention = if is_rest { MaskConvention::Black } else { MaskConvention::White };
                let body = opaque.as_ref().unwrap_or(mask);
                let mask = Mask { body, pointer: "/mask", convention, soft: false };
                let (image, mask) = decoder.image_and_mask(image, mask)?;
                let (image, mask) = self.resize(image, Some(mask), decoder)?;
                let mask = mask?;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 256")]
                let feather = self.mask_blur.map_or(MASK_BLUR, |blur| blur.round() as u32);
                // Without a prompt, what is kept says what the rest is to be.
                let prompt = Some(self.shared.prompt).filter(|prompt| !is_blank(prompt));
                let region = if self.inpaint_full_res.unwrap_or(true) { Region::Auto } else { Region::Full };
                let padding = self.inpaint_full_res_padding.filter(|padding| *padding > 0);
                let repainting = Repainting { region, padding, ..Repainting::default() };
                Some(Inpainting { feather, repainting, ..Inpainting::new(prompt, image, mask) }.into())
            }
        }
    }
}

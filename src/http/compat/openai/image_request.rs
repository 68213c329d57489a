//! The requests of OpenAI's SDKs, translated to modes.

use serde_json::Value;
use utoipa::ToSchema;

use super::shared_fields::SharedFields;
use crate::domain::{MaskConvention, Violation, Violations, Warning, WarningCode};
use crate::modes::request::masks::Mask;
use crate::modes::request::names::MaskConventionName;
use crate::modes::request::{
    CommonBody, Fields, Form, FormBody, ImageBody, ImageDecoder, ModeBody, Place, ReadFields, ReadValue, Unknown,
};
use crate::modes::{
    FusionInput, ImageToImage, ImageVariations, Inpainting, Input, Mode, TextImageFusion, TextToImage, Weighted,
};

/// Strength of an edit without a mask.
const EDIT_STRENGTH: f64 = 0.7;
/// Most images of an edit without a mask: a fusion has eight inputs, of which the prompt is one.
const MAX_FUSED_IMAGES: usize = 7;

/// The form that the SDKs send for edits and variations. This server's own fields may be added.
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the contract alone; forms are read into the JSON's shape")]
pub(crate) struct ImagesForm {
    /// A PNG, JPEG, WebP, GIF, BMP or TIFF file; `image[]` for several.
    #[schema(value_type = String, format = Binary)]
    image: Vec<u8>,
    /// Its transparent pixels are repainted.
    #[schema(value_type = Option<String>, format = Binary)]
    mask: Option<Vec<u8>>,
    #[schema(example = "red heart on a blue background")]
    prompt: Option<String>,
    #[schema(example = "kandinsky-mini")]
    model: Option<String>,
    #[schema(minimum = 1)]
    n: Option<u32>,
    #[schema(example = "auto")]
    size: Option<String>,
    response_format: Option<String>,
    output_format: Option<String>,
    #[schema(minimum = 0, maximum = 100)]
    output_compression: Option<u32>,
    stream: Option<bool>,
    #[schema(minimum = 0, maximum = 3)]
    partial_images: Option<u32>,
}

/// One of the three calls.
pub(crate) trait ImagesBody: ModeBody {
    fn shared(&self) -> &SharedFields;
}

/// `images.generate`.
#[derive(Debug, ToSchema)]
pub(crate) struct GenerationsBody {
    /// English or Russian.
    #[schema(min_length = 1, example = "red heart on a blue background")]
    prompt: String,
    #[serde(flatten)]
    shared: SharedFields,
}

impl ReadFields for GenerationsBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        for image in ["image", "image[]", "images", "image_url", "mask", "init_image"] {
            if fields.take(image).is_some() {
                fields.refuse(image, "is not read here: images are edited at /v1/images/edits");
            }
        }
        Self { prompt: fields.required("prompt"), shared: SharedFields::read(fields, false) }
    }
}

impl FormBody for GenerationsBody {
    const UNKNOWN: Unknown = Unknown::Reported;
}

impl ImagesBody for GenerationsBody {
    fn shared(&self) -> &SharedFields {
        &self.shared
    }
}

impl ModeBody for GenerationsBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::TextToImage)
    }

    fn take_common(&mut self, violations: &mut Violations) -> CommonBody {
        self.shared.take_common(violations)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        vec![("/prompt".to_owned(), &self.prompt)]
    }

    fn check(&self, violations: &mut Violations) {
        self.shared.check_prompt(&self.prompt, violations);
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        Vec::new()
    }

    fn into_input(self, _: &mut ImageDecoder) -> Option<Input> {
        Some(TextToImage { prompt: self.prompt }.into())
    }
}

/// `images.edit`: inpainting with a mask (or an image with transparent pixels), else image-to-image, or a fusion of several
/// images and the prompt.
#[derive(Debug, ToSchema)]
pub(crate) struct EditsBody {
    /// One image or several.
    #[schema(value_type = Option<OneOrMany>)]
    image: OneOrMany,
    /// The same as a list.
    images: Option<Vec<ImageBody>>,
    /// Its transparent pixels are repainted, unless `mask_convention` says otherwise.
    mask: Option<ImageBody>,
    /// An extension of this server: which mask pixels are repainted: `alpha` (the transparent ones), `white` or `black`.
    /// Default: `alpha`.
    #[schema(value_type = Option<MaskConventionName>)]
    mask_convention: Option<String>,
    /// English or Russian.
    #[schema(min_length = 1, example = "red heart on a blue background")]
    prompt: String,
    /// An extension of this server: how much an edit without a mask changes. Default: 0.7.
    #[schema(minimum = 0, maximum = 1)]
    strength: Option<f64>,
    #[serde(flatten)]
    shared: SharedFields,
}

/// Images as the SDKs send them.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    Many(Vec<ImageBody>),
    One(ImageBody),
}

impl Default for OneOrMany {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl ReadValue for OneOrMany {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        if value.is_array() { Vec::read(value, at).map(Self::Many) } else { ImageBody::read(value, at).map(Self::One) }
    }
}

impl OneOrMany {
    fn as_slice(&self) -> &[ImageBody] {
        match self {
            Self::Many(images) => images,
            Self::One(image) => std::slice::from_ref(image),
        }
    }

    fn as_mut_slice(&mut self) -> &mut [ImageBody] {
        match self {
            Self::Many(images) => images,
            Self::One(image) => std::slice::from_mut(image),
        }
    }
}

impl ReadFields for EditsBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.rename("image", &["image[]"]);
        fields.rename("images", &["images[]"]);
        fields.rename("strength", &["image_strength", "denoising_strength"]);
        if !fields.is_given("image") && !fields.is_given("images") {
            fields.refuse("image", "must be given");
        }
        let image = fields.optional("image").unwrap_or_default();
        let (mask, strength) = (fields.optional("mask"), fields.optional("strength"));
        if mask.is_some() && strength.is_some() {
            fields.ignore("strength", "strength has no effect on an edit with a mask");
        }
        Self {
            image,
            images: fields.optional("images"),
            mask,
            mask_convention: fields.name("mask_convention"),
            prompt: fields.required("prompt"),
            strength,
            shared: SharedFields::read(fields, false),
        }
    }
}

impl EditsBody {
    /// All images, each with its JSON pointer.
    fn all_images(&self) -> impl Iterator<Item = (String, &ImageBody)> {
        let image = self.image.as_slice().iter().map(|image| ("/image".to_owned(), image));
        let images = self.images.iter().flatten().enumerate();
        image.chain(images.map(|(i, image)| (format!("/images/{i}"), image)))
    }

    /// What the mask marks, as OpenAI's API has it unless told otherwise.
    fn convention(&self) -> Result<MaskConvention, String> {
        self.mask_convention.as_deref().map_or(Ok(MaskConvention::Alpha), str::parse)
    }
}

impl FormBody for EditsBody {
    const UNKNOWN: Unknown = Unknown::Reported;

    /// `image` once, or `image[]` several times.
    fn from_form(mut form: Form) -> Result<Value, Violation> {
        let images = form.take_images("image");
        if !images.is_empty() {
            form.texts.insert("image".to_owned(), vec![Value::Array(images)]);
        }
        form.into_json()
    }
}

impl ImagesBody for EditsBody {
    fn shared(&self) -> &SharedFields {
        &self.shared
    }
}

impl ModeBody for EditsBody {
    /// Known once the transparency of the image has been seen.
    fn mode(&self) -> Option<Mode> {
        None
    }

    fn possible_modes(&self) -> Vec<Mode> {
        match self.all_images().count() {
            _ if self.mask.is_some() => vec![Mode::Inpainting],
            0 | 1 => vec![Mode::ImageToImage, Mode::Inpainting],
            _ => vec![Mode::TextImageFusion],
        }
    }

    fn take_common(&mut self, violations: &mut Violations) -> CommonBody {
        self.shared.take_common(violations)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        vec![("/prompt".to_owned(), &self.prompt)]
    }

    fn check(&self, violations: &mut Violations) {
        let is_valid = self.strength.is_none_or(|strength| (0.0..=1.0).contains(&strength));
        violations.require(is_valid, "/strength", "must be 0 to 1");
        self.shared.check_prompt(&self.prompt, violations);
        let (count, most) = (self.all_images().count(), MAX_FUSED_IMAGES);
        violations.require(count > 0, "/image", "must be given");
        violations.require(count <= most, "/image", format!("must have at most {most} images"));
        if let Err(message) = self.convention() {
            violations.add("/mask_convention", message);
        }
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        let image = self.image.as_mut_slice().iter_mut().map(|image| ("/image".to_owned(), image));
        let images = self.images.iter_mut().flatten().enumerate();
        let images = images.map(|(i, image)| (format!("/images/{i}"), image));
        let mask = self.mask.as_mut().map(|mask| ("/mask".to_owned(), mask));
        image.chain(images).chain(mask).collect()
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        let convention = self.convention().unwrap_or_default();
        let images: Vec<(String, &ImageBody)> = self.all_images().collect();
        // Transparency blends, as it is drawn with soft brushes.
        let inpainting = |soft_mask: bool, (image, mask)| {
            Input::from(Inpainting { soft_mask, ..Inpainting::new(Some(self.prompt.clone()), image, mask) })
        };
        match (images.as_slice(), &self.mask) {
            ([(pointer, first), ..], Some(mask)) => {
                let soft = convention == MaskConvention::Alpha;
                if images.len() > 1 {
                    let message = "only the first image is edited where there is a mask; the others were ignored";
                    decoder.warnings.push(Warning::new(WarningCode::FieldIgnored, message).at("/image"));
                }
                let mask = Mask { body: mask, pointer: "/mask", convention, soft };
                decoder.image_and_mask((first, pointer), mask).map(|parts| inpainting(soft, parts))
            }
            ([(pointer, only)], None) => {
                let (image, mask) = decoder.image_and_own_mask(only, pointer)?;
                let Some(mask) = mask else {
                    let strength = self.strength.unwrap_or(EDIT_STRENGTH);
                    return Some(ImageToImage::new(self.prompt.clone(), image, Some(strength)).into());
                };
                if self.strength.is_some() {
                    let message = "strength has no effect on an image with transparent parts: these are repainted";
                    decoder.warnings.push(Warning::new(WarningCode::FieldIgnored, message).at("/strength"));
                }
                Some(inpainting(true, (image, mask)))
            }
            (images, None) => {
                // All of them are decoded, so that every invalid one is reported.
                let images: Vec<_> = images.iter().map(|(pointer, image)| decoder.image(image, pointer)).collect();
                let images = images.into_iter().collect::<Option<Vec<_>>>()?;
                let images = images.into_iter().map(FusionInput::Image);
                let inputs = images.chain([FusionInput::Text(self.prompt.clone())]).collect();
                Some(TextImageFusion { inputs: Weighted::equal(inputs), decoder_prompt: None }.into())
            }
            ([], Some(_)) => None,
        }
    }
}

/// `images.create_variation`.
#[derive(Debug, ToSchema)]
pub(crate) struct VariationsBody {
    image: ImageBody,
    #[serde(flatten)]
    shared: SharedFields,
}

impl ReadFields for VariationsBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        fields.rename("image", &["image[]"]);
        Self { image: fields.required("image"), shared: SharedFields::read(fields, true) }
    }
}

impl FormBody for VariationsBody {
    const UNKNOWN: Unknown = Unknown::Reported;
}

impl ImagesBody for VariationsBody {
    fn shared(&self) -> &SharedFields {
        &self.shared
    }
}

impl ModeBody for VariationsBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::ImageVariations)
    }

    fn take_common(&mut self, violations: &mut Violations) -> CommonBody {
        self.shared.take_common(violations)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        Vec::new()
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image)]
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        let image = decoder.image(&self.image, "/image");
        image.map(|image| ImageVariations { image }.into())
    }
}

//! Text+image fusion (paper section 3): an image guided by images and texts together.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::flags::{self, Flag};
use super::fusion::{FusionInput, RequestedWeights, Weighted, check_requested, check_weights, sums_to_one};
use super::parameters::FusionParameter;
use super::request::{CommonBody, Fields, Form, FormBody, ImageBody, ImageDecoder, ModeBody, Place, ReadFields, ReadValue};
use super::{GenerationMode, Input, Mode, ModeInput, Parameters, Samples};
use crate::domain::{Image, Limits, Size, Violation, Violations};
use crate::imaging::DigitalSource;

/// Inputs of text+image fusion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TextImageFusion {
    pub inputs: Vec<Weighted<FusionInput>>,
    /// `None`: the texts joined by ", ".
    pub decoder_prompt: Option<String>,
}

impl ModeInput for TextImageFusion {
    fn check(&self, limits: &Limits, violations: &mut Violations) {
        check_weights(self.inputs.iter().map(|input| Some(input.weight)), "/inputs", violations);
        for (i, input) in self.inputs.iter().enumerate() {
            if let FusionInput::Text(text) = &input.value {
                limits.check_text(text, &format!("/inputs/{i}/prompt"), violations);
            }
        }
        if let Some(text) = &self.decoder_prompt {
            limits.check_text(text, "/decoder_prompt", violations);
        }
    }

    fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        let texts = self.inputs.iter_mut().enumerate().filter_map(|(i, input)| match &mut input.value {
            FusionInput::Text(text) => Some((format!("/inputs/{i}/prompt"), text)),
            FusionInput::Image(_) => None,
        });
        texts.chain(self.decoder_prompt.as_mut().map(|text| ("/decoder_prompt".to_owned(), text))).collect()
    }

    fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        let inputs = self.inputs.iter_mut();
        let images = inputs.filter_map(|input| match &mut input.value {
            FusionInput::Image(image) => Some(image),
            FusionInput::Text(_) => None,
        });
        (images.collect(), None)
    }

    fn describe(&self, parameters: &mut Parameters) {
        parameters.decoder_prompt.clone_from(&self.decoder_prompt);
        let prompt = |value: &FusionInput| match value {
            FusionInput::Text(text) => Some(text.clone()),
            FusionInput::Image(_) => None,
        };
        let weights: Vec<f32> = self.inputs.iter().map(|input| input.weight).collect();
        parameters.normalize_weights = (!sums_to_one(&weights)).then_some(false);
        let inputs = self.inputs.iter();
        parameters.inputs =
            inputs.map(|input| FusionParameter { prompt: prompt(&input.value), prompt_translated: None, weight: input.weight }).collect();
    }
}

impl GenerationMode for TextImageFusion {
    type Body = TextImageFusionBody;

    const SUMMARY: &'static str = "Make an image guided by images and texts together.";
    const DESCRIPTION: &'static str = "As a form: files named `image`, texts named `prompt`, and the `weight`s first of the images, then \
        of the texts; or `inputs[0][image]`, `inputs[1][prompt]`, `inputs[1][weight]` and so on.";
    const SOURCE: DigitalSource = DigitalSource::TrainedAlgorithmicMedia;
    const FLAGS: &'static [Flag] = &[
        flags::PROMPT,
        flags::IMAGE,
        flags::WEIGHT,
        flags::NO_NORMALIZE,
        Flag::text(
            "decoder-prompt",
            "TEXT",
            "text-image-fusion: the decoder's text [default: the prompts, joined by commas]",
        ),
    ];

    fn example(size: Size, samples: &mut dyn Samples) -> Value {
        json!({"inputs": [{"image": samples.image(size)}, {"prompt": samples.prompt()}]})
    }
}

/// An image guided by images and texts together.
#[derive(Debug, ToSchema)]
pub struct TextImageFusionBody {
    /// Two to eight, each an image or a prompt.
    inputs: Vec<FusionPart>,
    /// Scale the weights to a sum of 1. Default: true.
    normalize_weights: Option<bool>,
    /// The decoder's text. Default: the prompts, joined by commas.
    decoder_prompt: Option<String>,
    #[serde(flatten)]
    common: CommonBody,
}

/// An image or a prompt, and how much of it.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FusionPart {
    image: Option<ImageBody>,
    #[schema(example = "smiling face")]
    prompt: Option<String>,
    /// Default: an equal share of what the other weights leave of 1.
    weight: Option<f32>,
}

impl ReadValue for FusionPart {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        if !value.is_object() {
            return at.refuse("must be an object with an image or a prompt, and a weight");
        }
        at.object(value, |fields| {
            // What answers say of it.
            fields.take("prompt_translated");
            Self {
                image: fields.optional("image"),
                prompt: fields.optional("prompt"),
                weight: fields.optional("weight"),
            }
        })
    }
}

/// What is wrong with a part that has both or neither.
const EITHER: &str = "must have either an image or a prompt";

impl ReadFields for TextImageFusionBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            inputs: fields.required("inputs"),
            normalize_weights: fields.optional("normalize_weights"),
            decoder_prompt: fields.optional("decoder_prompt"),
            common: CommonBody::read(fields),
        }
    }
}

impl FormBody for TextImageFusionBody {
    const FORM_JSON: &'static [&'static str] = &["weight", "weights"];

    /// Files named `image` and texts named `prompt`, weights in this order; or `inputs[0][image]` and so on.
    fn from_form(mut form: Form) -> Result<Value, Violation> {
        if !form.is_given("inputs") {
            let (images, prompts) = (form.take_images("image"), form.take_texts("prompt"));
            let images = images.into_iter().map(|image| json!({"image": image}));
            let mut inputs: Vec<Value> =
                images.chain(prompts.into_iter().map(|prompt| json!({"prompt": prompt}))).collect();
            for (input, weight) in inputs.iter_mut().zip(form.take_weights()) {
                input["weight"] = weight;
            }
            form.texts.insert("inputs".to_owned(), vec![Value::Array(inputs)]);
        }
        form.into_json()
    }
}

impl TextImageFusionBody {
    fn weights(&self) -> RequestedWeights {
        let given = self.inputs.iter().map(|part| part.weight).collect();
        RequestedWeights { given, normalize: self.normalize_weights }
    }
}

impl ModeBody for TextImageFusionBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::TextImageFusion)
    }

    fn take_common(&mut self, _: &mut Violations) -> CommonBody {
        std::mem::take(&mut self.common)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        let inputs = self.inputs.iter().enumerate();
        let prompts = inputs.filter_map(|(i, part)| Some((format!("/inputs/{i}/prompt"), part.prompt.as_deref()?)));
        prompts.chain(self.decoder_prompt.as_deref().map(|text| ("/decoder_prompt".to_owned(), text))).collect()
    }

    fn check(&self, violations: &mut Violations) {
        check_requested(&self.weights(), "/inputs", violations);
        for (i, part) in self.inputs.iter().enumerate() {
            let is_one = part.image.is_some() != part.prompt.is_some();
            violations.require(is_one, format!("/inputs/{i}"), EITHER);
        }
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        let inputs = self.inputs.iter_mut().enumerate();
        inputs.filter_map(|(i, part)| part.image.as_mut().map(|image| (format!("/inputs/{i}/image"), image))).collect()
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        let requested = self.weights();
        let mut values = Vec::with_capacity(self.inputs.len());
        for (i, part) in self.inputs.into_iter().enumerate() {
            let value = match (part.image, part.prompt) {
                (Some(image), None) => decoder.image(&image, &format!("/inputs/{i}/image")).map(FusionInput::Image),
                (None, Some(prompt)) => Some(FusionInput::Text(prompt)),
                _ => {
                    decoder.violations.add(format!("/inputs/{i}"), EITHER);
                    None
                }
            };
            values.push(value);
        }
        let decoder_prompt = self.decoder_prompt;
        let values = values.into_iter().collect::<Option<Vec<_>>>()?;
        match requested.settle() {
            Ok(weights) => {
                decoder.warnings.extend(requested.warning(&weights, "/inputs"));
                Some(TextImageFusion { inputs: Weighted::zip(values, weights), decoder_prompt }.into())
            }
            Err(message) => {
                decoder.violations.add("/inputs", message);
                None
            }
        }
    }
}

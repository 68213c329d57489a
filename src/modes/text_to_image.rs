//! Text to image (paper section 3): an image from a prompt.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::flags::{self, Flag};
use super::request::{CommonBody, Fields, FormBody, ImageBody, ImageDecoder, ModeBody, ReadFields};
use super::{GenerationMode, Input, Mode, ModeInput, Parameters, Samples};
use crate::domain::{Limits, Size, Violations};
use crate::imaging::DigitalSource;

/// Inputs of text to image.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TextToImage {
    /// English or Russian.
    pub prompt: String,
}

/// What draws a prompt and nothing else, for tools.
#[must_use]
pub fn of_prompt(prompt: String) -> TextToImage {
    TextToImage { prompt }
}

impl ModeInput for TextToImage {
    fn check(&self, limits: &Limits, violations: &mut Violations) {
        limits.check_text(&self.prompt, "/prompt", violations);
    }

    fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        vec![("/prompt".to_owned(), &mut self.prompt)]
    }

    fn describe(&self, parameters: &mut Parameters) {
        parameters.prompt = Some(self.prompt.clone());
    }
}

impl GenerationMode for TextToImage {
    type Body = TextToImageBody;

    const SUMMARY: &'static str = "Make an image from a prompt.";
    const SOURCE: DigitalSource = DigitalSource::TrainedAlgorithmicMedia;
    const FLAGS: &'static [Flag] = &[flags::PROMPT];

    fn example(_: Size, samples: &mut dyn Samples) -> Value {
        json!({"prompt": samples.prompt()})
    }
}

/// An image from a prompt.
#[derive(Debug, ToSchema)]
pub struct TextToImageBody {
    /// English or Russian.
    #[schema(example = "red heart on a blue background")]
    prompt: String,
    #[serde(flatten)]
    common: CommonBody,
}

impl ReadFields for TextToImageBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self { prompt: fields.required("prompt"), common: CommonBody::read(fields) }
    }
}

impl FormBody for TextToImageBody {}

impl ModeBody for TextToImageBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::TextToImage)
    }

    fn take_common(&mut self, _: &mut Violations) -> CommonBody {
        std::mem::take(&mut self.common)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        vec![("/prompt".to_owned(), &self.prompt)]
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        Vec::new()
    }

    fn into_input(self, _: &mut ImageDecoder) -> Option<Input> {
        Some(TextToImage { prompt: self.prompt }.into())
    }
}

//! What is to be drawn, and the request that asks the server for it.
//!
//! Invariant: the same drawing gives the same request, byte for byte, so that an idempotency key stays good; whatever may change
//! meanwhile (a chat's settings, the next seed) is decided before a drawing is noted.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::modes::Mode;

/// Most images that a fusion takes.
pub(super) const MOST_FUSED: usize = 8;
/// How much of the first image is in a fusion of images; the others share the rest.
const MAIN_SHARE: f64 = 0.6;

/// Where an image is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    /// A file at Telegram.
    File(String),
    /// An image that the server made.
    Made { job: Uuid, index: u32 },
}

/// What is to be drawn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Drawing {
    pub prompt: Option<String>,
    /// None: from the prompt alone. One without a prompt: variations. Several without: a fusion, the first is the main one.
    /// With a prompt: a fusion of all.
    pub images: Vec<Source>,
    pub n: u32,
    pub seed: Option<u64>,
    pub style: Option<String>,
    pub ratio: Option<String>,
    pub steps: u32,
    /// Steps between previews; 0: none.
    pub preview_interval: u32,
}

impl Drawing {
    pub fn of_prompt(prompt: impl Into<String>) -> Self {
        Self { prompt: Some(prompt.into()), n: 1, ..Self::default() }
    }

    pub fn of_images(images: Vec<Source>, prompt: Option<String>) -> Self {
        Self { prompt, images, n: 1, ..Self::default() }
    }

    pub fn mode(&self) -> Mode {
        match (self.images.len(), &self.prompt) {
            (0, _) => Mode::TextToImage,
            (1, None) => Mode::ImageVariations,
            (_, None) => Mode::ImageFusion,
            (_, Some(_)) => Mode::TextImageFusion,
        }
    }

    /// The request. `files` has the bytes of the images that are files, in their order.
    pub fn request(&self, files: &[Vec<u8>]) -> Json {
        let mut files = files.iter();
        let images = self.images.iter().map(|source| match source {
            Source::File(_) => json!(STANDARD.encode(files.next().map(Vec::as_slice).unwrap_or_default())),
            Source::Made { job, index } => json!({"job": job, "index": index}),
        });
        let images: Vec<Json> = images.collect();
        let mut body = match (self.images.len(), &self.prompt) {
            (0, prompt) => json!({"prompt": prompt.as_deref().unwrap_or_default()}),
            (1, None) => json!({"image": images[0]}),
            (_, None) => {
                let weighted = images.into_iter().enumerate().map(|(i, image)| match i {
                    0 => json!({"image": image, "weight": MAIN_SHARE}),
                    _ => json!({"image": image}),
                });
                json!({"images": weighted.collect::<Vec<_>>()})
            }
            (_, Some(prompt)) => {
                let mut inputs: Vec<Json> = images.into_iter().map(|image| json!({"image": image})).collect();
                inputs.push(json!({"prompt": prompt}));
                json!({"inputs": inputs})
            }
        };
        body["n"] = json!(self.n);
        body["response_format"] = json!("url");
        for (name, value) in [("style", &self.style), ("aspect_ratio", &self.ratio)] {
            // A style is words for a prompt.
            if let Some(value) = value.as_ref().filter(|_| name != "style" || self.prompt.is_some()) {
                body[name] = json!(value);
            }
        }
        for (name, value) in [("steps", self.steps), ("preview_interval", self.preview_interval)] {
            if value > 0 {
                body[name] = json!(value);
            }
        }
        if let Some(seed) = self.seed {
            body["seed"] = json!(seed);
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Source {
        Source::File(name.to_owned())
    }

    #[test]
    fn each_of_the_four_features_asks_for_its_own_mode() {
        let text = Drawing { style: Some("oil".to_owned()), ..Drawing::of_prompt("red heart") };
        assert_eq!(text.mode().name(), "text-to-image");
        assert_eq!(text.request(&[]), json!({"prompt": "red heart", "n": 1, "response_format": "url", "style": "oil"}));

        let job = Uuid::from_u128(7);
        let variations = Drawing { n: 4, ..Drawing::of_images(vec![Source::Made { job, index: 2 }], None) };
        assert_eq!(variations.mode().name(), "image-variations");
        let want = json!({"image": {"job": job, "index": 2}, "n": 4, "response_format": "url"});
        assert_eq!(variations.request(&[]), want);

        let fusion = Drawing::of_images(vec![file("a"), file("b"), file("c")], None);
        assert_eq!(fusion.mode().name(), "image-fusion");
        let images = &fusion.request(&[vec![0], vec![1], vec![2]])["images"];
        assert_eq!(*images, json!([{"image": "AA==", "weight": 0.6}, {"image": "AQ=="}, {"image": "Ag=="}]));

        let both = Drawing::of_images(vec![file("a")], Some("winter".to_owned()));
        assert_eq!(both.mode().name(), "text-image-fusion");
        assert_eq!(both.request(&[vec![0]])["inputs"], json!([{"image": "AA=="}, {"prompt": "winter"}]));
    }
}

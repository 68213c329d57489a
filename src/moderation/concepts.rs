//! A judge of CLIP embeddings: how near a text or an image comes to concepts that were learned from labelled ones. The
//! cosine to a concept's vector against a threshold of its own is the method of Stable Diffusion's safety checker
//! (Rando et al. 2022, arXiv 2210.04610); vectors and thresholds are learned instead of chosen.
//!
//! Invariant: concepts judge embeddings of the CLIP that they were learned with, and of no other.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::moderator::{ImageModerator, Moderator, Unavailable};
use crate::domain::{Finding, Image};
use crate::imaging;

/// A text whose embedding tells one CLIP from another.
pub const PROBE: &str = "a picture";
/// Least cosine of the probe's embeddings of the same CLIP, in whatever precision.
const SAME: f32 = 0.99;
/// Scores below it are no findings, whatever a policy's threshold is.
const LEAST: f32 = 0.01;
/// The link's name.
const NAME: &str = "classifier";

/// What makes embeddings.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// CLIP's embeddings of the parts of each text, `[width]` each.
    async fn texts(&self, texts: &[&str]) -> Result<Vec<Vec<Vec<f32>>>, String>;

    /// CLIP's embeddings of square images, in the same space.
    async fn images(&self, images: Vec<Image>) -> Result<Vec<Vec<f32>>, String>;
}

/// A file of concepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concepts {
    /// Name of the model that they were learned with.
    pub model: String,
    /// Its embedding of [`PROBE`].
    pub probe: Vec<f32>,
    /// What texts are judged by.
    pub texts: Vec<Concept>,
    /// What images are judged by; `pictures` in files of earlier versions.
    #[serde(alias = "pictures")]
    pub images: Vec<Concept>,
}

/// Something to object to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Concept {
    pub category: String,
    /// `[width]`; only its direction counts.
    pub vector: Vec<f32>,
    /// The cosine of an embedding and the vector that gives a score of 0.5.
    pub threshold: f32,
    /// How steeply the score rises there: logits per unit of cosine.
    pub slope: f32,
    /// Examples that it was learned from.
    pub examples: usize,
    /// Shares of what it flags that are right, and of what is right that it flags, among examples held out in turn.
    pub precision: f32,
    pub recall: f32,
}

impl Concepts {
    /// Read a file's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let concepts: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        concepts.check()?;
        Ok(concepts)
    }

    /// Whether they can be used.
    pub fn check(&self) -> Result<(), String> {
        let width = self.probe.len();
        if !has_direction(&self.probe) {
            return Err("probe has no direction".to_owned());
        }
        for concept in self.texts.iter().chain(&self.images) {
            let Concept { category, vector, threshold, slope, .. } = concept;
            if category.is_empty() {
                return Err("a concept has no category".to_owned());
            }
            if vector.len() != width {
                return Err(format!("{category}: vector has {} numbers, probe has {width}", vector.len()));
            }
            if !has_direction(vector) {
                return Err(format!("{category}: vector has no direction"));
            }
            if !(threshold.is_finite() && slope.is_finite() && *slope > 0.0) {
                return Err(format!("{category}: threshold must be a number, and slope a positive one"));
            }
        }
        Ok(())
    }

    /// Whether they were learned with the CLIP whose embedding of [`PROBE`] this is.
    pub fn check_fit(&self, probe: &[f32]) -> Result<(), String> {
        let (own, got) = (self.probe.len(), probe.len());
        if own != got {
            return Err(format!(
                "learned with {}, whose embeddings have {own} numbers; here they have {got}",
                self.model
            ));
        }
        if cosine(&self.probe, probe) < SAME {
            return Err(format!("learned with {}, whose CLIP is another one than the loaded model's", self.model));
        }
        Ok(())
    }
}

impl Concept {
    /// 0 to 1: how sure it is of its category.
    #[must_use]
    pub fn score(&self, embedding: &[f32]) -> f32 {
        sigmoid(self.slope * (cosine(&self.vector, embedding) - self.threshold))
    }

    /// What it finds in something that has these embeddings: the one that is nearest counts.
    fn finding(&self, embeddings: &[Vec<f32>]) -> Option<Finding> {
        let score = embeddings.iter().map(|embedding| self.score(embedding)).fold(0.0, f32::max);
        let rule = format!("{NAME}: {}", self.category);
        (score >= LEAST).then(|| Finding { category: self.category.clone(), score, rule })
    }
}

/// The link of the chain, and of that for images.
pub struct Classifier {
    concepts: Concepts,
    embedder: Arc<dyn Embedder>,
}

impl Classifier {
    /// Judges what `embedder` embeds.
    #[must_use]
    pub fn new(concepts: Concepts, embedder: Arc<dyn Embedder>) -> Self {
        Self { concepts, embedder }
    }
}

fn unavailable(why: String) -> Unavailable {
    Unavailable { link: NAME, why }
}

#[async_trait]
impl Moderator for Classifier {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn review(&self, texts: &[&str]) -> Result<Vec<(usize, Finding)>, Unavailable> {
        // What is empty says nothing, whatever CLIP makes of it.
        let (places, texts): (Vec<usize>, Vec<&str>) =
            texts.iter().enumerate().filter(|(_, text)| !text.trim().is_empty()).unzip();
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let embeddings = self.embedder.texts(&texts).await.map_err(unavailable)?;
        check_finite(embeddings.iter().flatten())?;
        let findings = places.into_iter().zip(&embeddings).flat_map(|(place, parts)| {
            self.concepts.texts.iter().filter_map(move |concept| Some((place, concept.finding(parts)?)))
        });
        Ok(findings.collect())
    }

    fn categories(&self) -> Vec<String> {
        self.concepts.texts.iter().map(|concept| concept.category.clone()).collect()
    }
}

#[async_trait]
impl ImageModerator for Classifier {
    async fn review_image(&self, image: &Image) -> Result<Vec<Finding>, Unavailable> {
        let image = image.clone();
        let views = tokio::task::spawn_blocking(move || imaging::views(&image)).await;
        let views = views.map_err(|error| unavailable(error.to_string()))?;
        let embeddings = self.embedder.images(views).await.map_err(unavailable)?;
        check_finite(embeddings.iter())?;
        Ok(self.concepts.images.iter().filter_map(|concept| concept.finding(&embeddings)).collect())
    }

    fn categories(&self) -> Vec<String> {
        self.concepts.images.iter().map(|concept| concept.category.clone()).collect()
    }
}

/// What is no number is near to nothing, and would pass.
fn check_finite<'a>(mut embeddings: impl Iterator<Item = &'a Vec<f32>>) -> Result<(), Unavailable> {
    if embeddings.all(|embedding| embedding.iter().all(|x| x.is_finite())) {
        Ok(())
    } else {
        Err(unavailable("an embedding is not finite".to_owned()))
    }
}

/// Of two vectors of one length; 0 if one has no direction.
pub(super) fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "between -1 and 1")]
    let cosine = (dot(a, b) / norms) as f32;
    if norms > 0.0 { cosine } else { 0.0 }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn has_direction(vector: &[f32]) -> bool {
    vector.iter().all(|x| x.is_finite()) && vector.iter().any(|x| *x != 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn concept(vector: &[f32], threshold: f32) -> Concept {
        let category = "violence".to_owned();
        Concept { category, vector: vector.to_vec(), threshold, slope: 20.0, examples: 1, precision: 1.0, recall: 1.0 }
    }

    fn concepts() -> Concepts {
        let texts = vec![concept(&[2.0, 0.0], 0.5)];
        Concepts { model: "test".to_owned(), probe: vec![0.6, 0.8], texts, images: Vec::new() }
    }

    /// Embeds a text as the direction of the angle that it names, in degrees.
    struct Angles;

    #[async_trait]
    impl Embedder for Angles {
        async fn texts(&self, texts: &[&str]) -> Result<Vec<Vec<Vec<f32>>>, String> {
            let embed = |a: f32| vec![3.0 * a.to_radians().cos(), 3.0 * a.to_radians().sin()];
            let part = |part: &str| part.parse::<f32>().map(embed).map_err(|error| error.to_string());
            texts.iter().map(|text| text.split('|').map(part).collect()).collect()
        }

        async fn images(&self, _: Vec<Image>) -> Result<Vec<Vec<f32>>, String> {
            Err("blind".to_owned())
        }
    }

    #[tokio::test]
    async fn the_score_is_one_half_at_the_threshold_and_rises_with_nearness() {
        let classifier = Classifier::new(concepts(), Arc::new(Angles));
        // The cosines of 60, 50 and 120 degrees are 0.5, 0.643 and -0.5.
        let found = classifier.review(&["60", " ", "120|50|90", "120"]).await.unwrap();
        assert_eq!(found.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 2]);
        let scores: Vec<f32> = found.iter().map(|(_, finding)| finding.score).collect();
        assert!((scores[0] - 0.5).abs() < 1e-4 && (scores[1] - 0.9457).abs() < 1e-3, "{scores:?}");
        assert_eq!(found[0].1.rule, "classifier: violence");
        assert!(classifier.review(&["no number"]).await.is_err());
        assert!(classifier.review(&["50", "nan"]).await.is_err(), "what is not finite passes");
    }

    #[test]
    fn a_file_comes_back_as_it_was_written_and_a_broken_one_says_what_is_wrong() {
        let text = serde_json::to_string(&concepts()).unwrap();
        assert_eq!(Concepts::parse(&text), Ok(concepts()));
        for (broken, why) in [
            (text.replace("[2.0,0.0]", "[2.0]"), "violence: vector has 1 numbers, probe has 2"),
            (text.replace("[2.0,0.0]", "[0.0,0.0]"), "violence: vector has no direction"),
            (text.replace("20.0", "0.0"), "violence: threshold must be a number, and slope a positive one"),
            (text.replace("[0.6,0.8]", "[]"), "probe has no direction"),
            (text.replace("slope", "slop"), "unknown field"),
        ] {
            let error = Concepts::parse(&broken).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn concepts_of_another_clip_are_told() {
        assert_eq!(concepts().check_fit(&[0.61, 0.79]), Ok(()));
        assert!(concepts().check_fit(&[0.8, 0.6]).unwrap_err().contains("another one"));
        assert!(concepts().check_fit(&[0.6, 0.8, 0.0]).unwrap_err().contains("have 2 numbers; here they have 3"));
    }
}

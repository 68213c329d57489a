//! What every mode provides.
//!
//! Invariant: the order of a mode's prompts and images is fixed, since stored jobs refer to images by their index.

use std::fmt;

use serde_json::Value;

use super::flags::Flag;
use super::parameters::Parameters;
use super::repainting::Repainting;
use super::request::ModeBody;
use super::{Input, Mode};
use crate::domain::{Common, Image, Limits, Size, Violations};
use crate::imaging::{DigitalSource, Edge, Origin};

/// A mode's inputs, decoded: what the server asks of them without knowing the mode.
pub trait ModeInput: fmt::Debug + Send + Sync {
    /// Check what is particular to the mode; every violation is noted.
    fn check(&self, limits: &Limits, violations: &mut Violations);

    /// All prompts, each with its JSON pointer.
    fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        Vec::new()
    }

    /// All images, and the mask, if the mode has one.
    fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        (Vec::new(), None)
    }

    /// Fill in what depends on the model, whose own size is `native` px, and on the limits. Comes before the check.
    fn settle(&mut self, _common: &mut Common, _native: u32, _limits: &Limits) {}

    /// The size of the result where the request gives none, px, for a model whose own size is `native` px. `None`: its square.
    fn default_size(&self, _native: u32) -> Option<Size> {
        None
    }

    /// JSON pointers to what that size comes from.
    fn size_pointers(&self) -> (&'static str, &'static str) {
        ("/width", "/height")
    }

    /// The size of the given image before it was cropped to the proportions of the result, and what is left of it. `None`: it was
    /// not.
    fn cropped(&self) -> Option<(Size, Size)> {
        None
    }

    /// How a part of an image is repainted. `None`: the mode draws whole images.
    fn repainting(&self) -> Option<&Repainting> {
        None
    }

    /// The simpler mode that this one comes to, with inputs that give the same image. `None`: the model draws this mode itself.
    fn reduce(&self) -> Option<Input> {
        None
    }

    /// What of the given image comes back unchanged in the result. `None`: nothing.
    fn composite(&self) -> Option<Composite> {
        None
    }

    /// Add the mode's own fields to the parameters of the answer.
    fn describe(&self, parameters: &mut Parameters);
}

/// Pixels to restore in a finished image.
#[derive(Debug, Clone)]
pub struct Composite {
    /// RGB, or RGBA where its transparency is kept.
    pub original: Image,
    /// White (128 or more) where the result is new.
    pub mask: Image,
    /// How the new part and the original meet.
    pub edge: Edge,
}

/// A type in the list of modes. Implemented by the list.
pub trait Listed {
    /// Its entry.
    const MODE: Mode;
}

/// A mode as a type: what routes, the contract, the command line and the load generator are made from.
pub trait GenerationMode: ModeInput + Listed + Sized + 'static {
    /// The request body of its route.
    type Body: ModeBody;

    /// One sentence for the contract.
    const SUMMARY: &'static str;
    /// What the contract adds for this mode; may be empty.
    const DESCRIPTION: &'static str = "";
    /// Whether results continue a given image, by the IPTC's vocabulary.
    const SOURCE: DigitalSource;
    /// Whether a part of a given image is repainted, so that the result may be larger than what is drawn.
    const REPAINTS: bool = false;
    /// The command-line flags that make a request.
    const FLAGS: &'static [Flag];

    /// A request of its own fields, for load tests. `size` is that of the result, px.
    fn example(size: Size, samples: &mut dyn Samples) -> Value;
}

/// Calls code with the type of a mode: [`Mode::visit`].
pub trait ModeVisitor {
    type Output;

    fn visit<M: GenerationMode>(self) -> Self::Output;
}

/// Makes parts of example requests.
pub trait Samples {
    /// A prompt in English or Russian.
    fn prompt(&mut self) -> String;

    /// An image of this size, as base64 of a PNG.
    fn image(&mut self, size: Size) -> String;

    /// A mask of this size whose right half is white, as base64 of a PNG.
    fn mask(&mut self, size: Size) -> String;
}

impl Mode {
    /// What files say of its images.
    #[must_use]
    pub fn origin(self) -> Origin {
        struct Source;
        impl ModeVisitor for Source {
            type Output = DigitalSource;

            fn visit<M: GenerationMode>(self) -> DigitalSource {
                M::SOURCE
            }
        }
        Origin { mode: self.name(), source: self.visit(Source) }
    }

    /// Whether a part of a given image is repainted, so that the result may be larger than what is drawn.
    #[must_use]
    pub fn repaints(self) -> bool {
        struct Repaints;
        impl ModeVisitor for Repaints {
            type Output = bool;

            fn visit<M: GenerationMode>(self) -> bool {
                M::REPAINTS
            }
        }
        self.visit(Repaints)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| format!("must be one of {}", names()))
    }
}

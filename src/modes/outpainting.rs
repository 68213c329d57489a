//! Outpainting (paper section 3, Figure 3): an image extended beyond its borders, by inpainting on a larger canvas.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::flags::{self, Flag};
use super::parameters::WindowParameters;
use super::request::{CommonBody, Fields, FormBody, ImageBody, ImageDecoder, ModeBody, Place, ReadFields, ReadValue};
use super::{GenerationMode, Inpainting, Input, Mode, ModeInput, Parameters, Samples};
use crate::domain::{Image, Limits, Size, Violations};
use crate::imaging::DigitalSource;

/// Pixels to add on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expand {
    pub left: u32,
    pub top: u32,
    pub right: u32,
    pub bottom: u32,
}

/// A window in the image's own coordinates, which may reach beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    pub x: i64,
    pub y: i64,
    pub width: u32,
    pub height: u32,
}

/// What of the extended image is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Extent {
    Expand(Expand),
    Window(Window),
}

impl Extent {
    /// The window it stands for.
    #[must_use]
    pub fn window(self, image: &Image) -> Window {
        match self {
            Self::Window(window) => window,
            Self::Expand(expand) => Window {
                x: -i64::from(expand.left),
                y: -i64::from(expand.top),
                width: image.width().saturating_add(expand.left).saturating_add(expand.right),
                height: image.height().saturating_add(expand.top).saturating_add(expand.bottom),
            },
        }
    }

    /// Size of the result, px.
    #[must_use]
    pub fn size(self, image: &Image) -> Size {
        let window = self.window(image);
        Size { width: window.width, height: window.height }
    }
}

/// Inputs of outpainting.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outpainting {
    /// `None`: the image itself is the prompt.
    pub prompt: Option<String>,
    pub image: Image,
    pub extent: Extent,
    /// Return the known pixels unchanged, bit by bit.
    pub composite: bool,
}

impl ModeInput for Outpainting {
    fn check(&self, limits: &Limits, violations: &mut Violations) {
        if let Some(text) = &self.prompt {
            limits.check_text(text, "/prompt", violations);
        }
        let pointer = match self.extent {
            Extent::Expand(_) => "/expand",
            Extent::Window(_) => "/window",
        };
        let (window, known) = (self.extent.window(&self.image), self.image.size());
        limits.check_size(self.extent.size(&self.image), (pointer, pointer), violations);
        let overlaps =
            |start: i64, length: u32, side: u32| start < i64::from(side) && start.saturating_add(i64::from(length)) > 0;
        violations.require(
            overlaps(window.x, window.width, known.width) && overlaps(window.y, window.height, known.height),
            pointer,
            "must show a part of the image",
        );
        let inside = |start: i64, length: u32, side: u32| {
            start >= 0 && start.saturating_add(i64::from(length)) <= i64::from(side)
        };
        violations.require(
            !(inside(window.x, window.width, known.width) && inside(window.y, window.height, known.height)),
            pointer,
            "must reach beyond the image",
        );
    }

    fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        self.prompt.iter_mut().map(|text| ("/prompt".to_owned(), text)).collect()
    }

    fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        (vec![&mut self.image], None)
    }

    fn default_size(&self) -> Option<Size> {
        Some(self.extent.size(&self.image))
    }

    /// Inpainting of the window's content, with everything beyond the image masked.
    fn reduce(&self) -> Option<Input> {
        let (image, mask) = cut(&self.image, self.extent.window(&self.image));
        let prompt = self.prompt.clone();
        Some(Inpainting { prompt, image, mask, composite: self.composite, feather: 0 }.into())
    }

    fn describe(&self, parameters: &mut Parameters) {
        parameters.prompt.clone_from(&self.prompt);
        parameters.composite = Some(self.composite);
        let Window { x, y, width, height } = self.extent.window(&self.image);
        parameters.window = Some(WindowParameters { x, y, width, height });
    }
}

impl GenerationMode for Outpainting {
    type Body = OutpaintingBody;

    const SUMMARY: &'static str = "Extend an image beyond its borders.";
    const DESCRIPTION: &'static str = "The known pixels are returned unchanged.";
    const SOURCE: DigitalSource = DigitalSource::CompositeWithTrainedAlgorithmicMedia;
    const FLAGS: &'static [Flag] = &[
        flags::PROMPT,
        flags::IMAGE,
        Flag::numbers("expand", "LEFT,TOP,RIGHT,BOTTOM", &["left", "top", "right", "bottom"], "outpainting: px to add"),
        Flag::numbers(
            "window",
            "X,Y,WIDTH,HEIGHT",
            &["x", "y", "width", "height"],
            "outpainting: the window to return, in the image's coordinates; it may reach beyond",
        ),
        flags::NO_COMPOSITE,
    ];

    fn example(size: Size, samples: &mut dyn Samples) -> Value {
        let known = Size { width: size.width.div_ceil(2), height: size.height };
        let expand = json!({"right": size.width - known.width});
        json!({"prompt": samples.prompt(), "image": samples.image(known), "expand": expand})
    }
}

/// An image extended beyond its borders: either `expand` or `window`.
#[derive(Debug, ToSchema)]
pub struct OutpaintingBody {
    image: ImageBody,
    expand: Option<ExpandBody>,
    window: Option<WindowBody>,
    /// English or Russian. Default: the image is the prompt.
    prompt: Option<String>,
    /// Return the known pixels unchanged, bit by bit. Default: true.
    composite: Option<bool>,
    #[serde(flatten)]
    common: CommonBody,
}

/// Pixels to add on each side.
#[derive(Debug, Default, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExpandBody {
    left: u32,
    top: u32,
    #[schema(example = 16)]
    right: u32,
    bottom: u32,
}

/// The window to return, in the image's own coordinates; it may be negative or reach beyond.
#[derive(Debug, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowBody {
    x: i64,
    y: i64,
    width: u32,
    height: u32,
}

impl ReadValue for ExpandBody {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        at.object(value, |fields| Self {
            left: fields.optional("left").unwrap_or(0),
            top: fields.optional("top").unwrap_or(0),
            right: fields.optional("right").unwrap_or(0),
            bottom: fields.optional("bottom").unwrap_or(0),
        })
    }
}

impl ReadValue for WindowBody {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        at.object(value, |fields| Self {
            x: fields.required("x"),
            y: fields.required("y"),
            width: fields.required("width"),
            height: fields.required("height"),
        })
    }
}

/// What is wrong with a request that has both or neither.
const EITHER: &str = "must be given, or else window, and not both";

impl ReadFields for OutpaintingBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            image: fields.required("image"),
            expand: fields.optional("expand"),
            window: fields.optional("window"),
            prompt: fields.optional("prompt"),
            composite: fields.optional("composite"),
            common: CommonBody::read(fields),
        }
    }
}

impl FormBody for OutpaintingBody {}

impl ModeBody for OutpaintingBody {
    fn mode(&self) -> Option<Mode> {
        Some(Mode::Outpainting)
    }

    fn take_common(&mut self, _: &mut Violations) -> CommonBody {
        std::mem::take(&mut self.common)
    }

    fn prompts(&self) -> Vec<(String, &str)> {
        self.prompt.iter().map(|prompt| ("/prompt".to_owned(), prompt.as_str())).collect()
    }

    fn check(&self, violations: &mut Violations) {
        violations.require(self.expand.is_some() != self.window.is_some(), "/expand", EITHER);
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image)]
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        let extent = match (self.expand, self.window) {
            (Some(ExpandBody { left, top, right, bottom }), None) => {
                Extent::Expand(Expand { left, top, right, bottom })
            }
            (None, Some(WindowBody { x, y, width, height })) => Extent::Window(Window { x, y, width, height }),
            _ => {
                decoder.violations.add("/expand", EITHER);
                return None;
            }
        };
        decoder.image(&self.image, "/image").map(|image| {
            let composite = self.composite.unwrap_or(true);
            Outpainting { prompt: self.prompt, image, extent, composite }.into()
        })
    }
}

/// The content of `window`, what lies beyond the image filled from its border, and a mask of that part.
fn cut(image: &Image, window: Window) -> (Image, Image) {
    let (width, height) = (window.width, window.height);
    let pixels = width as usize * height as usize;
    let (mut rgb, mut gray) = (Vec::with_capacity(3 * pixels), Vec::with_capacity(pixels));
    for y in 0..i64::from(height) {
        for x in 0..i64::from(width) {
            let (px, py) = (window.x.saturating_add(x), window.y.saturating_add(y));
            let (cx, cy) = (px.clamp(0, i64::from(image.width()) - 1), py.clamp(0, i64::from(image.height()) - 1));
            let index = 3 * usize::try_from(cy * i64::from(image.width()) + cx).unwrap_or(0);
            rgb.extend_from_slice(&image.pixels()[index..index + 3]);
            gray.push(if (px, py) == (cx, cy) { 0 } else { 255 });
        }
    }
    (Image::rgb(width, height, rgb), Image::gray(width, height, gray))
}

//! Outpainting (paper section 3, Figure 3): an image extended beyond its borders, by inpainting on a larger canvas.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::canvas::{Canvas, CanvasRequest, Placed, place};
use super::flags::{self, Flag};
use super::inpainting::check_feather;
use super::parameters::WindowParameters;
use super::request::{CommonBody, Fields, FormBody, ImageBody, ImageDecoder, ModeBody, Place, ReadFields, ReadValue};
use super::repainting::{Hole, Repainting, RepaintingBody};
use super::request::names::AnchorName;
use super::{GenerationMode, Inpainting, Input, Mode, ModeInput, Parameters, Samples};
use crate::domain::{Anchor, Common, Image, Limits, Rect, Size, Violations};
use crate::imaging::{self, DigitalSource};

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

    /// Where a request has it.
    fn pointer(self) -> &'static str {
        match self {
            Self::Expand(_) => "/expand",
            Self::Window(_) => "/window",
        }
    }

    /// Size of the window, px.
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
    /// Width of the soft edge inside the new part, px.
    #[serde(default)]
    pub feather: u32,
    /// What is asked of the canvas.
    #[serde(default)]
    pub wanted: CanvasRequest,
    /// Where the image lies on it.
    #[serde(default)]
    pub anchor: Anchor,
    /// Its size, once it is known. `None`: that of the extent.
    #[serde(default)]
    pub canvas: Option<Size>,
    #[serde(default)]
    pub repainting: Repainting,
}

impl Outpainting {
    /// Inputs with the defaults of what is optional.
    #[must_use]
    pub fn new(prompt: Option<String>, image: Image, extent: Extent) -> Self {
        let repainting = Repainting { match_colors: true, ..Repainting::default() };
        Self {
            prompt,
            image,
            extent,
            composite: true,
            feather: 0,
            wanted: CanvasRequest::default(),
            anchor: Anchor::default(),
            canvas: None,
            repainting,
        }
    }

    /// The canvas, and the size that the image has on it.
    fn placed(&self) -> Placed {
        let (image, window) = (self.image.size(), self.extent.window(&self.image));
        match self.canvas_size() {
            Some(canvas) => place(image, window, canvas, self.anchor),
            None => Placed { image, window },
        }
    }

    fn canvas_size(&self) -> Option<Size> {
        self.canvas.or_else(|| self.wanted.size(self.extent.size(&self.image)))
    }

    /// Where violations of the canvas are noted.
    fn pointer(&self) -> &'static str {
        match self.wanted.ratio {
            Some(_) => "/aspect_ratio",
            None if self.canvas_size().is_none() => self.extent.pointer(),
            None if self.wanted.width.is_none() && self.wanted.height.is_some() => "/height",
            None => "/width",
        }
    }
}

impl ModeInput for Outpainting {
    fn check(&self, limits: &Limits, violations: &mut Violations) {
        if let Some(text) = &self.prompt {
            limits.check_text(text, "/prompt", violations);
        }
        let pointer = self.pointer();
        let Placed { image: known, window } = self.placed();
        check_feather(self.feather, violations);
        self.repainting.check(violations);
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

    fn settle(&mut self, common: &mut Common, native: u32, limits: &Limits) {
        let needed = self.extent.size(&self.image);
        self.canvas = self.wanted.size(needed).or(common.size);
        common.size = self.canvas;
        let Placed { image, window } = self.placed();
        let size = Size { width: window.width, height: window.height };
        self.repainting.work = self.repainting.plan(
            Hole { size, marked: new_part(image, window), composite: self.composite },
            native,
            limits,
        );
    }

    fn prompts_mut(&mut self) -> Vec<(String, &mut String)> {
        self.prompt.iter_mut().map(|text| ("/prompt".to_owned(), text)).collect()
    }

    fn images_mut(&mut self) -> (Vec<&mut Image>, Option<&mut Image>) {
        (vec![&mut self.image], None)
    }

    fn default_size(&self, _: u32) -> Option<Size> {
        Some(self.extent.size(&self.image))
    }

    fn size_pointers(&self) -> (&'static str, &'static str) {
        (self.pointer(), self.pointer())
    }

    fn repainting(&self) -> Option<&Repainting> {
        Some(&self.repainting)
    }

    /// Inpainting of the window's content, with everything beyond the image masked.
    fn reduce(&self) -> Option<Input> {
        let Placed { image: size, window } = self.placed();
        let (image, mask) = if size == self.image.size() {
            cut(&self.image, window)
        } else {
            cut(&imaging::resize(&self.image, size), window)
        };
        let (composite, feather, repainting) = (self.composite, self.feather, self.repainting);
        Some(Inpainting { composite, feather, repainting, ..Inpainting::new(self.prompt.clone(), image, mask) }.into())
    }

    fn describe(&self, parameters: &mut Parameters) {
        parameters.prompt.clone_from(&self.prompt);
        parameters.composite = Some(self.composite);
        parameters.feather = Some(self.feather);
        parameters.anchor = self.canvas_size().map(|_| self.anchor.name());
        self.repainting.describe(parameters);
        let Window { x, y, width, height } = self.extent.window(&self.image);
        parameters.window = Some(WindowParameters { x, y, width, height });
    }
}

impl GenerationMode for Outpainting {
    type Body = OutpaintingBody;

    const SUMMARY: &'static str = "Extend an image beyond its borders.";
    const DESCRIPTION: &'static str = "The known pixels are returned unchanged. How far the image is extended is said by `expand` or \
        `window`, or by the canvas that it is extended to: `aspect_ratio` (the smallest canvas of that ratio), or `width` and \
        `height`. What is known keeps its proportions: it is never stretched, and made smaller only where the canvas has no room \
        for it.";
    const SOURCE: DigitalSource = DigitalSource::CompositeWithTrainedAlgorithmicMedia;
    const REPAINTS: bool = true;
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
        Flag::text(
            "aspect-ratio",
            "RATIO",
            "outpainting: extend to this ratio: 1:1, 2:3, 3:2, 9:16 or 16:9 (or give --width and --height)",
        ),
        Flag::text("anchor", "WHERE", "outpainting: where the image lies on the canvas: center, left, top_left and so on"),
        flags::FEATHER,
        flags::REGION,
        flags::PADDING,
        flags::MATCH_COLORS,
        flags::NO_COMPOSITE,
    ];

    fn example(size: Size, samples: &mut dyn Samples) -> Value {
        let known = Size { width: size.width.div_ceil(2), height: size.height };
        let expand = json!({"right": size.width - known.width});
        json!({"prompt": samples.prompt(), "image": samples.image(known), "expand": expand})
    }
}

/// An image extended beyond its borders: by `expand` or `window`, or to an `aspect_ratio` or a `width` and `height`.
#[derive(Debug, ToSchema)]
pub struct OutpaintingBody {
    image: ImageBody,
    expand: Option<ExpandBody>,
    window: Option<WindowBody>,
    /// English or Russian. Default: the image is the prompt.
    prompt: Option<String>,
    /// Where the image, with what `expand` adds to it, lies on a canvas of `aspect_ratio` or of `width` and `height`. What is new is
    /// on the other sides. Default: `center`.
    #[schema(value_type = Option<AnchorName>)]
    anchor: Option<String>,
    /// Return the known pixels unchanged, bit by bit, with their transparency. Default: true.
    composite: Option<bool>,
    /// Width of the soft edge inside the new part, px: there it begins as a continuation of the image's border. The known pixels
    /// stay as they are. Default: 0.
    #[schema(maximum = 256)]
    feather: Option<u32>,
    #[serde(flatten)]
    repainting: RepaintingBody,
    /// The canvas, from the shared fields.
    #[schema(ignore)]
    #[serde(skip)]
    canvas: Canvas,
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

/// What is wrong with a request that does not say how far the image is extended.
const NO_EXTENT: &str = "must be given, or else window, aspect_ratio, or width and height";

impl ReadFields for OutpaintingBody {
    fn read(fields: &mut Fields<'_>) -> Self {
        // The size is that of the canvas, which depends on the image.
        let mut common = CommonBody::read(fields);
        let (ratio, width, height) = (common.aspect_ratio.take(), common.width.take(), common.height.take());
        Self {
            image: fields.required("image"),
            expand: fields.optional("expand"),
            window: fields.optional("window"),
            prompt: fields.optional("prompt"),
            anchor: fields.name("anchor"),
            composite: fields.optional("composite"),
            feather: fields.optional("feather"),
            repainting: RepaintingBody::read(fields),
            canvas: Canvas { ratio, width, height },
            common,
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
        self.check_own(violations);
    }

    fn images(&mut self) -> Vec<(String, &mut ImageBody)> {
        vec![("/image".to_owned(), &mut self.image)]
    }

    fn into_input(self, decoder: &mut ImageDecoder) -> Option<Input> {
        self.check_own(&mut decoder.violations);
        let anchor = self.anchor().unwrap_or_default();
        let extent = match (self.expand, self.window) {
            (Some(ExpandBody { left, top, right, bottom }), _) => Extent::Expand(Expand { left, top, right, bottom }),
            (None, Some(WindowBody { x, y, width, height })) => Extent::Window(Window { x, y, width, height }),
            (None, None) => Extent::Expand(Expand::default()),
        };
        decoder.image_with_alpha(&self.image, "/image").map(|image| {
            let outpainting = Outpainting::new(self.prompt, image, extent);
            let (composite, feather) = (self.composite.unwrap_or(true), self.feather.unwrap_or(0));
            let (wanted, repainting) = (self.canvas.request(), self.repainting.into_repainting(true));
            Outpainting { composite, feather, wanted, anchor, repainting, ..outpainting }.into()
        })
    }
}

impl OutpaintingBody {
    fn check_own(&self, violations: &mut Violations) {
        let given = (self.expand.is_some(), self.window.is_some());
        violations.require(given != (true, true), "/expand", "cannot be given together with window");
        violations.require(given != (false, false) || self.canvas.is_given(), "/expand", NO_EXTENT);
        self.canvas.check(violations);
        if let Err(message) = self.anchor() {
            violations.add("/anchor", message);
        }
        check_feather(self.feather.unwrap_or(0), violations);
        self.repainting.check(violations);
    }

    fn anchor(&self) -> Result<Anchor, String> {
        self.anchor.as_deref().map_or(Ok(Anchor::default()), str::parse)
    }
}

/// What of a canvas of this window is beyond an image of this size: the smallest part that has it all, in the canvas's
/// coordinates.
fn new_part(image: Size, window: Window) -> Rect {
    let along = |start: i64, length: u32, side: u32| {
        let before = u32::try_from(start.saturating_neg().max(0)).unwrap_or(u32::MAX).min(length);
        let end = start.saturating_add(i64::from(length)).saturating_sub(i64::from(side)).max(0);
        (before, u32::try_from(end).unwrap_or(u32::MAX).min(length))
    };
    let ((left, right), (top, bottom)) =
        (along(window.x, window.width, image.width), along(window.y, window.height, image.height));
    let whole = Rect { x: 0, y: 0, width: window.width, height: window.height };
    match ((left > 0, right > 0), (top > 0, bottom > 0)) {
        ((true, false), (false, false)) => Rect { width: left, ..whole },
        ((false, true), (false, false)) => Rect { x: window.width - right, width: right, ..whole },
        ((false, false), (true, false)) => Rect { height: top, ..whole },
        ((false, false), (false, true)) => Rect { y: window.height - bottom, height: bottom, ..whole },
        _ => whole,
    }
}

/// The content of `window`, what lies beyond the image filled from its border, and a mask of that part.
fn cut(image: &Image, window: Window) -> (Image, Image) {
    let (width, height) = (window.width, window.height);
    let pixels = width as usize * height as usize;
    let channels = image.channels();
    let (mut colors, mut gray) = (Vec::with_capacity(channels * pixels), Vec::with_capacity(pixels));
    for y in 0..i64::from(height) {
        for x in 0..i64::from(width) {
            let (px, py) = (window.x.saturating_add(x), window.y.saturating_add(y));
            let (cx, cy) = (px.clamp(0, i64::from(image.width()) - 1), py.clamp(0, i64::from(image.height()) - 1));
            let index = channels * usize::try_from(cy * i64::from(image.width()) + cx).unwrap_or(0);
            colors.extend_from_slice(&image.pixels()[index..index + channels]);
            gray.push(if (px, py) == (cx, cy) { 0 } else { 255 });
        }
    }
    (Image::new(Size { width, height }, channels, colors), Image::gray(width, height, gray))
}

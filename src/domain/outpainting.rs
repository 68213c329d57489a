//! A picture extended beyond its borders.

use serde::{Deserialize, Serialize};

use super::common::{Limits, check_size, check_text};
use super::{Image, Inpainting, Size, Violations};

/// Pixels to add on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Expand {
    pub left: u32,
    pub top: u32,
    pub right: u32,
    pub bottom: u32,
}

/// A window in the picture's own coordinates, which may reach beyond it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    pub x: i64,
    pub y: i64,
    pub width: u32,
    pub height: u32,
}

/// What of the extended picture is asked for.
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

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outpainting {
    /// None: the picture itself says what belongs there.
    pub prompt: Option<String>,
    pub image: Image,
    pub extent: Extent,
    /// Return the known pixels bit by bit.
    pub composite: bool,
}

impl Outpainting {
    /// The inpainting it comes to: the window's content, with all that lies beyond the picture masked and filled by its
    /// border.
    #[must_use]
    pub fn into_inpainting(self) -> Inpainting {
        let (image, mask) = cut(&self.image, self.extent.window(&self.image));
        Inpainting { prompt: self.prompt, image, mask, composite: self.composite, feather: 0 }
    }

    pub(super) fn check(&self, limits: &Limits, violations: &mut Violations) {
        if let Some(prompt) = &self.prompt {
            check_text(prompt, "/prompt", limits, violations);
        }
        let pointer = match self.extent {
            Extent::Expand(_) => "/expand",
            Extent::Window(_) => "/window",
        };
        let window = self.extent.window(&self.image);
        check_size(self.extent.size(&self.image), (pointer, pointer), limits, violations);
        let overlaps =
            |start: i64, length: u32, side: u32| start < i64::from(side) && start.saturating_add(i64::from(length)) > 0;
        violations.require(
            overlaps(window.x, window.width, self.image.width())
                && overlaps(window.y, window.height, self.image.height()),
            pointer,
            "must show a part of the image",
        );
        let inside = |start: i64, length: u32, side: u32| {
            start >= 0 && start.saturating_add(i64::from(length)) <= i64::from(side)
        };
        violations.require(
            !(inside(window.x, window.width, self.image.width())
                && inside(window.y, window.height, self.image.height())),
            pointer,
            "must reach beyond the image",
        );
    }
}

/// What `window` shows of `image`, and a mask of what it shows beyond.
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

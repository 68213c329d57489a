//! The canvas that outpainting extends an image to, by a ratio or a size.
//!
//! Invariant: what is known keeps its proportions: it is never stretched, and made smaller only where it does not fit.

use serde::{Deserialize, Serialize};

use super::Window;
use super::request::names::ASPECT_RATIOS;
use crate::domain::{Anchor, Size, Violations};

/// How much larger than needed a canvas may be for the sake of an exact ratio.
const MOST_SPARE: f64 = 1.3;

/// What a request says of the canvas, before the image is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CanvasRequest {
    /// Width to height.
    pub ratio: Option<(u32, u32)>,
    /// px
    pub width: Option<u32>,
    /// px
    pub height: Option<u32>,
}

impl CanvasRequest {
    /// The canvas for what has to be on it; `None`: the request does not speak of one. A side that is not given is as long as
    /// needed.
    #[must_use]
    pub fn size(self, needed: Size) -> Option<Size> {
        let Some(ratio) = self.ratio else {
            let is_given = self.width.is_some() || self.height.is_some();
            let (width, height) = (self.width.unwrap_or(needed.width), self.height.unwrap_or(needed.height));
            return is_given.then_some(Size { width, height });
        };
        Some(of_ratio(ratio, needed))
    }
}

/// The same as the fields of a request.
#[derive(Debug, Default)]
pub struct Canvas {
    pub ratio: Option<String>,
    pub width: Option<u32>,
    pub height: Option<u32>,
}

impl Canvas {
    /// Note what breaks a rule.
    pub fn check(&self, violations: &mut Violations) {
        let has_side = self.width.is_some() || self.height.is_some();
        let Some(ratio) = &self.ratio else { return };
        violations.require(!has_side, "/aspect_ratio", "cannot be given together with width or height");
        let names = || ASPECT_RATIOS.map(|(name, ..)| name).join(", ");
        violations.require(sides_of(ratio).is_some(), "/aspect_ratio", format!("must be one of {}", names()));
    }

    /// Whether anything is said of the canvas.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.ratio.is_some() || self.width.is_some() || self.height.is_some()
    }

    /// The values.
    #[must_use]
    pub fn request(&self) -> CanvasRequest {
        let ratio = self.ratio.as_deref().and_then(sides_of);
        CanvasRequest { ratio, width: self.width, height: self.height }
    }
}

fn sides_of(ratio: &str) -> Option<(u32, u32)> {
    ASPECT_RATIOS.into_iter().find(|(name, ..)| *name == ratio).map(|(_, width, height)| (width, height))
}

/// The smallest canvas of this ratio with room for `needed`: of exactly this ratio or, where that would be much larger, with its
/// longer side rounded to a px.
fn of_ratio((width, height): (u32, u32), needed: Size) -> Size {
    let divisor = gcd(width, height).max(1);
    let (width, height) = ((width / divisor).max(1), (height / divisor).max(1));
    let times = needed.width.div_ceil(width).max(needed.height.div_ceil(height));
    let exact = Size { width: width.saturating_mul(times), height: height.saturating_mul(times) };
    let side = |length: u32, a: u32, b: u32| {
        let px = (u64::from(length) * u64::from(a) + u64::from(b) / 2) / u64::from(b);
        u32::try_from(px).unwrap_or(u32::MAX)
    };
    let (by_height, by_width) = (side(needed.height, width, height), side(needed.width, height, width));
    let rounded = if by_height >= needed.width {
        Size { width: by_height, height: needed.height }
    } else {
        Size { width: needed.width, height: by_width.max(needed.height) }
    };
    #[expect(clippy::cast_precision_loss, reason = "a comparison of areas")]
    let is_spare = exact.pixels() as f64 > MOST_SPARE * rounded.pixels() as f64;
    if is_spare { rounded } else { exact }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// An image on a canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The size that the image has there, px.
    pub image: Size,
    /// The canvas, in the coordinates of that image.
    pub window: Window,
}

/// Put an image with its surroundings (`needed`, in the image's coordinates) on a canvas. What does not fit is made smaller as
/// a whole; what is left of the canvas is on the sides that `anchor` leaves free.
#[must_use]
pub fn place(image: Size, needed: Window, canvas: Size, anchor: Anchor) -> Placed {
    let fits = |from: u32, to: u32| (u64::from(to), u64::from(from.max(1)));
    let (across, down) = (fits(needed.width, canvas.width), fits(needed.height, canvas.height));
    // The smaller of the two factors, and at most 1.
    let (to, from) = if across.0 * down.1 <= down.0 * across.1 { across } else { down };
    let (to, from) = if to >= from { (1, 1) } else { (to, from) };
    let scaled = |px: u32| u32::try_from(u64::from(px) * to / from).unwrap_or(u32::MAX);
    let scaled_at =
        |px: i64| px.saturating_mul(i64::try_from(to).unwrap_or(1)).div_euclid(i64::try_from(from).unwrap_or(1));
    let rest = (canvas.width.saturating_sub(scaled(needed.width)), canvas.height.saturating_sub(scaled(needed.height)));
    let (left, top) = anchor.offset(rest);
    Placed {
        image: Size { width: scaled(image.width).max(1), height: scaled(image.height).max(1) },
        window: Window {
            x: scaled_at(needed.x).saturating_sub(i64::from(left)),
            y: scaled_at(needed.y).saturating_sub(i64::from(top)),
            width: canvas.width,
            height: canvas.height,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: Size = Size { width: 64, height: 64 };

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    fn window(x: i64, y: i64, width: u32, height: u32) -> Window {
        Window { x, y, width, height }
    }

    #[test]
    fn a_ratio_is_exact_and_holds_all_that_is_needed() {
        for (ratio, needed, wanted) in [
            ((16, 9), (64, 64), (128, 72)),
            ((9, 16), (64, 64), (72, 128)),
            ((3, 2), (80, 64), (96, 64)),
            ((1, 1), (200, 100), (200, 200)),
            ((32, 18), (1000, 1000), (1792, 1008)),
            ((16, 9), (160, 90), (160, 90)),
            // An exact canvas would have 100 times the pixels.
            ((1001, 1000), (99, 100), (100, 100)),
        ] {
            let request = CanvasRequest { ratio: Some(ratio), ..CanvasRequest::default() };
            assert_eq!(request.size(size(needed.0, needed.1)), Some(size(wanted.0, wanted.1)), "{ratio:?}");
        }
        let half = CanvasRequest { width: Some(128), ..CanvasRequest::default() };
        assert_eq!(half.size(IMAGE), Some(size(128, 64)));
        assert_eq!(CanvasRequest::default().size(IMAGE), None);
    }

    #[test]
    fn an_image_lies_on_its_canvas_unstretched() {
        let whole = window(0, 0, 64, 64);
        let placed = place(IMAGE, whole, size(128, 72), Anchor::Center);
        assert_eq!(placed, Placed { image: IMAGE, window: window(-32, -4, 128, 72) });
        let placed = place(IMAGE, whole, size(128, 72), Anchor::BottomLeft);
        assert_eq!(placed, Placed { image: IMAGE, window: window(0, -8, 128, 72) });
        // 16 px to the left on a canvas that has no room for them: all of it becomes smaller.
        let placed = place(IMAGE, window(-16, 0, 80, 64), IMAGE, Anchor::Center);
        assert_eq!(placed, Placed { image: size(51, 51), window: window(-13, -6, 64, 64) });
        let placed = place(size(1000, 500), window(0, 0, 1000, 500), size(512, 512), Anchor::Top);
        assert_eq!(placed, Placed { image: size(512, 256), window: window(0, 0, 512, 512) });
    }
}

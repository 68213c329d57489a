//! A rectangle of an image's pixels.

use serde::{Deserialize, Serialize};

use super::image::Size;

/// A part of an image, px.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rect {
    pub x: u32,
    pub y: u32,
    pub width: u32,
    pub height: u32,
}

impl Rect {
    /// A whole image.
    #[must_use]
    pub fn whole(size: Size) -> Self {
        Self { x: 0, y: 0, width: size.width, height: size.height }
    }

    /// Width and height.
    #[must_use]
    pub fn size(self) -> Size {
        Size { width: self.width, height: self.height }
    }

    /// As many pixels more on every side, and at least `side` px wide and high, as far as an image of `size` reaches: at its
    /// border what is missing is taken from the other side.
    #[must_use]
    pub fn grown(self, padding: u32, side: u32, size: Size) -> Self {
        let along = |start: u32, length: u32, whole: u32| {
            let wanted = u64::from(length) + 2 * u64::from(padding);
            let wanted = u32::try_from(wanted.max(u64::from(side))).unwrap_or(u32::MAX).min(whole);
            let more = wanted.saturating_sub(length);
            (start.saturating_sub(more / 2).min(whole - wanted), wanted)
        };
        let (x, width) = along(self.x, self.width, size.width);
        let (y, height) = along(self.y, self.height, size.height);
        Self { x, y, width, height }
    }

    /// The same part of an image after it was resized from one size to another: with all the pixels that it has a share in.
    #[must_use]
    pub fn resized(self, from: Size, to: Size) -> Self {
        let along = |start: u32, length: u32, from: u32, to: u32| {
            let scaled = |at: u32| u64::from(at) * u64::from(to);
            let (from, to) = (u64::from(from.max(1)), to.max(1));
            let first = u32::try_from(scaled(start) / from).unwrap_or(to).min(to - 1);
            let end = u32::try_from(scaled(start.saturating_add(length)).div_ceil(from)).unwrap_or(to).min(to);
            (first, end.saturating_sub(first).max(1))
        };
        let (x, width) = along(self.x, self.width, from.width, to.width);
        let (y, height) = along(self.y, self.height, from.height, to.height);
        Self { x, y, width, height }
    }
}

impl Size {
    /// Whether both have the same proportions: to less than one px of the smaller of the two, since a side may have been rounded.
    #[must_use]
    pub fn agrees_with(self, other: Self) -> bool {
        let products = [(self.width, other.height), (self.height, other.width)];
        let [a, b] = products.map(|(one, other)| u64::from(one) * u64::from(other));
        a.abs_diff(b) < u64::from(self.width.max(self.height).max(other.width).max(other.height))
    }

    /// Number of pixels.
    #[must_use]
    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The same proportions with at most so many pixels, and at most so many px a side. Nothing is enlarged.
    #[must_use]
    pub fn shrunk(self, most_pixels: u64, most_side: u32) -> Self {
        let longer = f64::from(self.width.max(self.height).max(1));
        #[expect(clippy::cast_precision_loss, reason = "a scale")]
        let scale = (most_pixels as f64 / self.pixels().max(1) as f64).sqrt().min(f64::from(most_side) / longer);
        if scale >= 1.0 { self } else { self.scaled(scale) }
    }

    /// These proportions with about as many pixels as a square of `side` px, and no side longer than four of it. Of the sizes
    /// near that, the one whose proportions are nearest to these.
    #[must_use]
    pub fn of_area(self, side: u32) -> Self {
        /// How much shorter it may be for the sake of its proportions, px.
        const LEEWAY: u32 = 3;
        let (own, longer, shorter) =
            (f64::from(side), self.width.max(self.height).max(1), self.width.min(self.height).max(1));
        let ratio = f64::from(longer) / f64::from(shorter);
        let wanted = whole_px((own * ratio.sqrt()).min(4.0 * own));
        let fitting = |length: u32| (length, whole_px(f64::from(length) / ratio));
        let mut best = fitting(wanted);
        let error = |(length, breadth): (u32, u32)| (f64::from(length) / f64::from(breadth) / ratio - 1.0).abs();
        for step in 1..=LEEWAY {
            let shorter = fitting(wanted.saturating_sub(step).max(1));
            if error(shorter) + 1e-9 < error(best) {
                best = shorter;
            }
        }
        let (longer, shorter) = best;
        if self.width >= self.height {
            Self { width: longer, height: shorter }
        } else {
            Self { width: shorter, height: longer }
        }
    }

    /// Both sides by this factor of at most 1, rounded down; at least 1 px.
    fn scaled(self, scale: f64) -> Self {
        let side = |side: u32| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "smaller than a side")]
            let px = (f64::from(side) * scale) as u32;
            px.max(1)
        };
        Self { width: side(self.width), height: side(self.height) }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most four sides of an image")]
fn whole_px(x: f64) -> u32 {
    (x.round() as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 100, height: 50 };

    fn rect(x: u32, y: u32, width: u32, height: u32) -> Rect {
        Rect { x, y, width, height }
    }

    #[test]
    fn parts_grow_on_all_sides_and_stay_within_the_image() {
        assert_eq!(rect(40, 20, 10, 10).grown(5, 1, SIZE), rect(35, 15, 20, 20));
        assert_eq!(rect(40, 20, 10, 10).grown(0, 30, SIZE), rect(30, 10, 30, 30));
        assert_eq!(rect(0, 45, 4, 5).grown(3, 20, SIZE), rect(0, 30, 20, 20));
        assert_eq!(rect(95, 0, 5, 50).grown(8, 64, SIZE), rect(36, 0, 64, 50));
        assert_eq!(rect(1, 1, 98, 48).grown(u32::MAX, 64, SIZE), Rect::whole(SIZE));
    }

    #[test]
    fn resized_parts_cover_all_that_they_covered() {
        let to = Size { width: 30, height: 150 };
        assert_eq!(rect(10, 10, 1, 1).resized(SIZE, to), rect(3, 30, 1, 3));
        assert_eq!(rect(0, 0, 100, 50).resized(SIZE, to), Rect::whole(to));
        assert_eq!(rect(99, 49, 1, 1).resized(SIZE, to), rect(29, 147, 1, 3));
    }

    #[test]
    fn proportions_stay() {
        let size = |width, height| Size { width, height };
        assert_eq!(size(4000, 3000).shrunk(589_824, 2048), size(886, 665));
        assert_eq!(size(4000, 10).shrunk(589_824, 2000), size(2000, 5));
        assert_eq!(size(64, 64).shrunk(4096, 64), size(64, 64));
        assert_eq!(size(200, 100).of_area(64), size(90, 45));
        assert_eq!(size(100, 200).of_area(64), size(45, 90));
        assert_eq!(size(3000, 2000).of_area(512), size(627, 418));
        assert_eq!(size(100, 99).of_area(64), size(64, 63));
        assert_eq!(size(10, 10).of_area(64), size(64, 64));
        assert_eq!(size(2000, 20).of_area(64), size(256, 3));
    }
}

//! What of an image is seen in a result of other proportions.
//!
//! Invariant: what is known is not stretched, by more than a rounded side: what does not fit is cropped away.

use crate::domain::{Rect, Size};

/// The part of an image that a result of size `to` shows: all of it, or else as much as these proportions allow: of its middle, or
/// of where `wanted` is.
#[must_use]
pub(super) fn covering_part(image: Size, to: Size, wanted: Option<Rect>) -> Rect {
    if image.agrees_with(to) {
        return Rect::whole(image);
    }
    let fitting = |side: u32, (own, other): (u32, u32), most: u32| {
        let (exact, other) = (u64::from(side) * u64::from(own), u64::from(other.max(1)));
        u32::try_from((exact + other / 2) / other).unwrap_or(u32::MAX).clamp(1, most.max(1))
    };
    let width = fitting(image.height, (to.width, to.height), image.width);
    let height = fitting(image.width, (to.height, to.width), image.height);
    let along = |whole: u32, part: u32, wanted: Option<(u32, u32)>| {
        let (rest, middle) = (whole - part, (whole - part) / 2);
        match wanted {
            None => middle,
            Some((start, length)) if length <= part => {
                middle.clamp((start + length).saturating_sub(part), start.min(rest))
            }
            Some((start, length)) => (start + (length - part) / 2).min(rest),
        }
    };
    Rect {
        x: along(image.width, width, wanted.map(|wanted| (wanted.x, wanted.width))),
        y: along(image.height, height, wanted.map(|wanted| (wanted.y, wanted.height))),
        width,
        height,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(image: (u32, u32), to: (u32, u32), wanted: Option<[u32; 4]>) -> [u32; 4] {
        let size = |(width, height)| Size { width, height };
        let wanted = wanted.map(|[x, y, width, height]| Rect { x, y, width, height });
        let Rect { x, y, width, height } = covering_part(size(image), size(to), wanted);
        [x, y, width, height]
    }

    #[test]
    fn what_does_not_fit_is_cropped_and_equal_proportions_stay_whole() {
        assert_eq!(part((128, 64), (64, 64), None), [32, 0, 64, 64]);
        assert_eq!(part((64, 128), (512, 512), None), [0, 32, 64, 64]);
        assert_eq!(part((100, 100), (160, 90), None), [0, 22, 100, 56]);
        assert_eq!(part((4000, 3000), (64, 48), None), [0, 0, 4000, 3000]);
        // A side that was rounded.
        assert_eq!(part((1000, 749), (64, 48), None), [0, 0, 1000, 749]);
        assert_eq!(part((1000, 1), (1, 1000), None), [499, 0, 1, 1]);
    }

    #[test]
    fn what_is_wanted_is_seen_as_far_as_it_fits() {
        assert_eq!(part((128, 64), (64, 64), Some([0, 0, 10, 64])), [0, 0, 64, 64]);
        assert_eq!(part((128, 64), (64, 64), Some([90, 0, 38, 10])), [64, 0, 64, 64]);
        assert_eq!(part((128, 64), (64, 64), Some([40, 0, 20, 10])), [32, 0, 64, 64]);
        assert_eq!(part((128, 64), (64, 64), Some([20, 0, 108, 10])), [42, 0, 64, 64]);
    }
}

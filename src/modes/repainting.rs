//! How a part of an image is repainted: what of the image a model works on, and how the new part fits in.
//!
//! Models draw well at about their own size. A small hole in a large image is therefore repainted in a part of the image around
//! it, and a large one in a smaller copy, from which the new part is enlarged.
//!
//! Invariant: the part has all that is repainted, and something around it wherever the image has; an image that is no larger
//! than the model's own square is worked on as a whole and as it is.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::parameters::Parameters;
use super::request::Fields;
use super::request::names::RegionName;
use crate::domain::{Image, Limits, Rect, Region, Size, Violations};

/// Most padding, px.
const MAX_PADDING: u32 = 65_536;
/// Most pixels that are drawn where the region is chosen, in quarters of the model's own square: one and a half of its side.
const MOST_QUARTERS: u64 = 9;

/// How a part of an image is repainted: what the model works on, and how the new part fits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Repainting {
    pub region: Region,
    /// What the model sees around what it repaints, at the least, px. `None`: a quarter of what is repainted, and at least a
    /// quarter of the model's own size.
    pub padding: Option<u32>,
    /// Move the colours of the new part by what those of the kept part are off where the two meet.
    pub match_colors: bool,
    /// What the model draws, once the model is known. `None`: the whole result as it is.
    pub work: Option<Work>,
}

/// What the model draws of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// The part of the result that it works on.
    pub part: Rect,
    /// The size that it draws this part at; no larger than the part.
    pub drawn: Size,
}

/// What is repainted.
#[derive(Debug, Clone, Copy)]
pub struct Hole {
    /// Size of the result, px.
    pub size: Size,
    /// The smallest part of it that has all that is repainted.
    pub marked: Rect,
    /// Whether only the new part of what is drawn is wanted.
    pub composite: bool,
}

impl Repainting {
    /// Check the fields of a request.
    pub fn check(&self, violations: &mut Violations) {
        check_padding(self.padding, violations);
    }

    /// Add its fields to the parameters of an answer.
    pub fn describe(&self, parameters: &mut Parameters) {
        parameters.region = Some(self.region.name());
        parameters.padding = self.padding;
        parameters.match_colors = Some(self.match_colors);
    }

    /// What a model whose own size is `native` px draws. `None`: the whole result as it is.
    #[must_use]
    pub fn plan(&self, hole: Hole, native: u32, limits: &Limits) -> Option<Work> {
        let Hole { size, marked, composite } = hole;
        let own = u64::from(native) * u64::from(native);
        if self.region == Region::Full || size.pixels() <= own {
            return None;
        }
        let limits = limits.for_model(native);
        let most = (own * MOST_QUARTERS / 4).min(limits.max_pixels);
        let part = if composite {
            let usual = (native / 4).max(marked.width.max(marked.height) / 4);
            // At least a pixel around it, so that it is seen where the kept part begins.
            marked.grown(self.padding.unwrap_or(usual).max(1), native, size)
        } else {
            Rect::whole(size)
        };
        // Without compositing, all that the model draws is wanted, as large as it can be drawn.
        let most = if composite { most } else { limits.max_pixels };
        let is_most = 4 * part.size().pixels() >= 3 * size.pixels();
        let part = if is_most && size.pixels() <= most { Rect::whole(size) } else { part };
        let drawn = part.size().shrunk(most, limits.max_side);
        (part != Rect::whole(size) || drawn != size).then_some(Work { part, drawn })
    }
}

/// The fields of requests that repaint a part of an image.
#[derive(Debug, Default, ToSchema)]
pub struct RepaintingBody {
    /// How much of the image the model works on. `auto`: what is repainted and its surroundings at about the model's own size, so
    /// that images of any size can be sent: a small part of a large image is drawn in a window around it, and a large part in a
    /// smaller copy, from which it is enlarged. An image that is no larger than the model's own square is drawn as a whole and as
    /// it is. `full`: the whole image at its own size, within the limits of generated images. Default: `auto`.
    #[schema(value_type = Option<RegionName>)]
    region: Option<String>,
    /// With `auto`: how much of the image around the repainted part the model sees, at the least, px. Default: a quarter of that
    /// part, and at least a quarter of the model's own size.
    #[schema(maximum = 65536)]
    padding: Option<u32>,
    /// Match the colors of the new part to those of the image where they meet. The kept pixels stay as they are. Default: true
    /// in outpainting, false in inpainting.
    match_colors: Option<bool>,
}

impl RepaintingBody {
    /// Take the fields.
    pub fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            region: fields.name("region"),
            padding: fields.optional("padding"),
            match_colors: fields.optional("match_colors"),
        }
    }

    /// Note what breaks a rule.
    pub fn check(&self, violations: &mut Violations) {
        if let Err(message) = self.region() {
            violations.add("/region", message);
        }
        check_padding(self.padding, violations);
    }

    /// The values; `match_colors`: the mode's default.
    #[must_use]
    pub fn into_repainting(self, match_colors: bool) -> Repainting {
        Repainting {
            region: self.region().unwrap_or_default(),
            padding: self.padding,
            match_colors: self.match_colors.unwrap_or(match_colors),
            work: None,
        }
    }

    fn region(&self) -> Result<Region, String> {
        self.region.as_deref().map_or(Ok(Region::default()), str::parse)
    }
}

fn check_padding(padding: Option<u32>, violations: &mut Violations) {
    let is_valid = padding.is_none_or(|padding| padding <= MAX_PADDING);
    violations.require(is_valid, "/padding", format!("must be 0 to {MAX_PADDING} px"));
}

/// The smallest part of a mask that has all values of at least `least`; `None`: it has none.
#[must_use]
pub fn marked_part(mask: &Image, least: u8) -> Option<Rect> {
    let width = mask.width().max(1) as usize;
    let mut found: Option<[usize; 4]> = None;
    for (y, row) in mask.pixels().chunks_exact(width).enumerate() {
        let is_marked = |mark: &u8| *mark >= least;
        if let (Some(first), Some(last)) = (row.iter().position(is_marked), row.iter().rposition(is_marked)) {
            let [left, top, right, _] = found.unwrap_or([first, y, last, y]);
            found = Some([left.min(first), top, right.max(last), y]);
        }
    }
    let px = |x: usize| u32::try_from(x).unwrap_or(u32::MAX);
    found.map(|[left, top, right, bottom]| Rect {
        x: px(left),
        y: px(top),
        width: px(right - left + 1),
        height: px(bottom - top + 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    fn plan(size: Size, marked: Rect) -> Option<Work> {
        Repainting::default().plan(
            Hole { size, marked, composite: true },
            512,
            &Limits { max_areas: 16, ..Limits::UNBOUNDED },
        )
    }

    #[test]
    fn images_up_to_the_models_own_size_are_drawn_as_they_are() {
        for (width, height) in [(512, 512), (300, 512), (1024, 256)] {
            assert_eq!(plan(size(width, height), Rect { x: 3, y: 3, width: 9, height: 9 }), None);
        }
        // A little larger, and most of it is needed anyway.
        let marked = Rect { x: 0, y: 0, width: 768, height: 400 };
        assert_eq!(plan(size(768, 512), marked), None);
    }

    #[test]
    fn a_small_hole_in_a_photo_is_drawn_at_the_models_own_size() {
        let photo = size(4000, 3000);
        let work = plan(photo, Rect { x: 2000, y: 40, width: 100, height: 60 }).unwrap();
        assert_eq!(work, Work { part: Rect { x: 1794, y: 0, width: 512, height: 512 }, drawn: size(512, 512) });
        let work = plan(photo, Rect { x: 1000, y: 1000, width: 400, height: 200 }).unwrap();
        // 128 px around it; that is not more than is drawn at most, so nothing is reduced.
        assert_eq!(work, Work { part: Rect { x: 872, y: 844, width: 656, height: 512 }, drawn: size(656, 512) });
    }

    #[test]
    fn a_large_hole_is_drawn_smaller_in_its_proportions() {
        let work = plan(size(4000, 3000), Rect { x: 100, y: 100, width: 3800, height: 2800 }).unwrap();
        assert_eq!(work.part, Rect::whole(size(4000, 3000)));
        assert_eq!(work.drawn, size(886, 665));
    }

    #[test]
    fn limits_are_kept_and_full_is_full() {
        let hole =
            Hole { size: size(3000, 600), marked: Rect { x: 0, y: 0, width: 3000, height: 10 }, composite: true };
        let limits = Limits { max_areas: 1, max_side: 700, ..Limits::UNBOUNDED };
        let drawn = Repainting::default().plan(hole, 512, &limits).unwrap().drawn;
        assert!(drawn.pixels() <= 512 * 512 && drawn.width <= 700 && drawn.height >= 1, "{drawn:?}");
        let full = Repainting { region: Region::Full, ..Repainting::default() };
        assert_eq!(full.plan(hole, 512, &limits), None);
        let whole = Hole { composite: false, ..hole };
        assert_eq!(Repainting::default().plan(whole, 512, &limits).unwrap().part, Rect::whole(size(3000, 600)));
    }

    #[test]
    fn what_is_marked_is_found() {
        let mut marks = vec![0; 12];
        (marks[5], marks[10], marks[0]) = (200, 128, 127);
        let mask = Image::gray(4, 3, marks);
        assert_eq!(marked_part(&mask, 128), Some(Rect { x: 1, y: 1, width: 2, height: 2 }));
        assert_eq!(marked_part(&mask, 201), None);
    }
}

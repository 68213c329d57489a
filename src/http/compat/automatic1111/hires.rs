//! `enable_hr`: images are enlarged after they were drawn.
//!
//! Invariant: the result has the size that is asked for, and its proportions are those that were drawn.

use utoipa::ToSchema;

use super::unread::is_neutral;
use crate::domain::{Size, Violations, Warning, WarningCode};
use crate::modes::request::{CommonBody, Fields};

const USUAL_SCALE: f64 = 2.0;
/// By how much images are enlarged.
const SCALES: std::ops::RangeInclusive<f64> = 1.0..=16.0;
/// Fields of the second pass, which is not drawn.
const SECOND_PASS: [&str; 7] = [
    "denoising_strength",
    "hr_cfg",
    "hr_negative_prompt",
    "hr_prompt",
    "hr_sampler_name",
    "hr_scheduler",
    "hr_second_pass_steps",
];

/// The fields of enlarging.
#[derive(Debug, Default, ToSchema)]
pub(super) struct HiresFields {
    /// Enlarge the images of `width` x `height` (Lanczos; nothing is drawn a second time). Default: false.
    #[schema(value_type = Option<bool>)]
    enable_hr: bool,
    /// By how much: 1 to 16, where it has an effect. Default: 2.
    hr_scale: Option<f64>,
    /// Instead of `hr_scale`: the width of the result, px. 0: by its height.
    #[schema(minimum = 0)]
    hr_resize_x: Option<u32>,
    /// Instead of `hr_scale`: the height of the result, px. 0: by its width.
    #[schema(minimum = 0)]
    hr_resize_y: Option<u32>,
}

impl HiresFields {
    /// Take the fields.
    pub(super) fn read(fields: &mut Fields<'_>) -> Self {
        let read = Self {
            enable_hr: fields.optional("enable_hr").unwrap_or(false),
            hr_scale: fields.optional("hr_scale"),
            hr_resize_x: fields.optional("hr_resize_x"),
            hr_resize_y: fields.optional("hr_resize_y"),
        };
        for name in SECOND_PASS.into_iter().chain(["hr_upscaler"]) {
            fields.take(name);
        }
        let checkpoint = fields.take("hr_checkpoint_name");
        if read.enable_hr && checkpoint.is_some_and(|name| !is_neutral("hr_checkpoint_name", &name)) {
            fields.refuse("hr_checkpoint_name", "must be empty: there is one model");
        }
        read
    }

    /// Ask for the enlarged size, drawn at the size that is asked for so far.
    pub(super) fn enlarge(&self, common: &mut CommonBody, violations: &mut Violations) {
        if !self.enable_hr {
            return;
        }
        let (Some(width), Some(height)) = (common.width, common.height) else {
            violations.add("/enable_hr", "needs width and height");
            return;
        };
        match self.size_from(Size { width, height }) {
            Ok(size) => {
                (common.width, common.height) = (Some(size.width), Some(size.height));
                common.drawn = Some(Size { width, height });
                let message = "enlarged without drawing a second time";
                common.warnings.push(Warning::new(WarningCode::ValueAdjusted, message).at("/enable_hr"));
            }
            Err((pointer, message)) => violations.add(pointer, message),
        }
    }

    /// The size of the result, from the one that is drawn; or the field that is wrong, and why.
    fn size_from(&self, drawn: Size) -> Result<Size, (&'static str, String)> {
        let (width, height) = (f64::from(drawn.width.max(1)), f64::from(drawn.height.max(1)));
        let scale = match (self.hr_resize_x.unwrap_or(0), self.hr_resize_y.unwrap_or(0)) {
            (0, 0) => self.hr_scale.unwrap_or(USUAL_SCALE),
            (x, 0) => f64::from(x) / width,
            (0, y) => f64::from(y) / height,
            (x, y) => {
                // A side may be rounded.
                if (f64::from(x) * height - f64::from(y) * width).abs() >= f64::from(x.max(y)).max(width).max(height) {
                    return Err(("/hr_resize_x", "must keep the proportions of width and height".to_owned()));
                }
                if f64::from(x) < width || f64::from(y) < height {
                    return Err(("/hr_resize_x", "must be width or more".to_owned()));
                }
                return Ok(Size { width: x, height: y });
            }
        };
        if !SCALES.contains(&scale) {
            let (least, most) = (SCALES.start(), SCALES.end());
            return Err(("/hr_scale", format!("must be {least} to {most} times the size that is drawn")));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; 1 to 16 times")]
        let side = |side: f64| (side * scale).round() as u32;
        Ok(Size { width: side(width), height: side(height) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(hr_scale: Option<f64>, x: u32, y: u32) -> Result<(u32, u32), &'static str> {
        let fields = HiresFields { enable_hr: true, hr_scale, hr_resize_x: Some(x), hr_resize_y: Some(y) };
        let size = fields.size_from(Size { width: 96, height: 64 });
        size.map(|size| (size.width, size.height)).map_err(|(pointer, _)| pointer)
    }

    #[test]
    fn the_result_keeps_the_proportions() {
        assert_eq!(size(None, 0, 0), Ok((192, 128)));
        assert_eq!(size(Some(1.5), 0, 0), Ok((144, 96)));
        assert_eq!((size(None, 192, 0), size(None, 0, 128)), (Ok((192, 128)), Ok((192, 128))));
        assert_eq!(size(None, 193, 129), Ok((193, 129)), "a side is rounded");
        assert_eq!(size(None, 192, 192), Err("/hr_resize_x"));
        assert_eq!((size(Some(0.5), 0, 0), size(Some(f64::NAN), 0, 0)), (Err("/hr_scale"), Err("/hr_scale")));
        assert_eq!(size(None, 48, 32), Err("/hr_resize_x"));
    }
}

//! What becomes of a size that the model cannot draw well.
//!
//! Invariant: the ratio that was asked for is kept, and so is the size of the result.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::image::Size;
use super::named::{impl_names, unknown_name};

/// Up to so many areas of the model's own square are drawn as they are. Above, models repeat themselves or draw nothing.
const MAX_DRAWN_AREAS: u64 = 4;

/// What becomes of a size that the model cannot draw.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum SizePolicy {
    /// `Fit` for the embedded model, `Refuse` for others.
    #[default]
    Auto,
    /// It is drawn smaller, in the same ratio, and enlarged.
    Fit,
    /// It is refused.
    Refuse,
}

impl_names!(SizePolicy);

/// Whether a model whose own size is `native` px draws images of this size well.
pub(super) fn is_drawn_well(size: Size, native: u32) -> bool {
    pixels(size) <= MAX_DRAWN_AREAS * u64::from(native) * u64::from(native)
}

pub(super) fn pixels(size: Size) -> u64 {
    u64::from(size.width) * u64::from(size.height)
}

/// The size of this one's ratio that has about the area of the model's own square.
pub(super) fn at_native_area(size: Size, native: u32) -> Size {
    let side = |a: u32, b: u32| {
        let exact = f64::from(native) * (f64::from(a) / f64::from(b.max(1))).sqrt();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousand px")]
        let whole = exact.round() as u32;
        whole.max(1)
    };
    Size { width: side(size.width, size.height), height: side(size.height, size.width) }
}

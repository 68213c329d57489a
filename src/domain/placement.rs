//! What of an image is worked on, and where an image lies on a larger canvas.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::named::{impl_names, unknown_name};

/// How much of an image the model works on when it repaints a part.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum Region {
    /// What is repainted and its surroundings, at about the model's own size.
    #[default]
    Auto,
    /// The whole image at its own size.
    Full,
}

/// Where an image lies on a canvas that is larger than it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum Anchor {
    #[default]
    Center,
    Left,
    Right,
    Top,
    Bottom,
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

impl_names!(Region, Anchor);

impl Anchor {
    /// Where the image begins along a side of which `rest` px are not covered by it: from the left, and from the top.
    #[must_use]
    pub fn offset(self, rest: (u32, u32)) -> (u32, u32) {
        let x = match self {
            Self::Left | Self::TopLeft | Self::BottomLeft => 0,
            Self::Right | Self::TopRight | Self::BottomRight => rest.0,
            Self::Center | Self::Top | Self::Bottom => rest.0 / 2,
        };
        let y = match self {
            Self::Top | Self::TopLeft | Self::TopRight => 0,
            Self::Bottom | Self::BottomLeft | Self::BottomRight => rest.1,
            Self::Center | Self::Left | Self::Right => rest.1 / 2,
        };
        (x, y)
    }
}

//! What the pixels of a mask mean.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use super::named::{impl_names, unknown_name};

/// Which mask pixels are repainted.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, EnumString, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_name::<Self>)]
pub enum MaskConvention {
    /// White is repainted.
    #[default]
    White,
    /// Black is repainted.
    Black,
    /// What is transparent is repainted.
    Alpha,
}

impl_names!(MaskConvention);

//! Enums whose variants have names in requests and responses.
//!
//! Invariant: a variant's name is written once, where strum derives it.

use strum::VariantArray;

/// The names of all values, in their order.
pub(super) fn names<T: VariantArray + Copy + Into<&'static str>>() -> Vec<&'static str> {
    T::VARIANTS.iter().map(|value| (*value).into()).collect()
}

/// The error of a name that is not one of `T`'s, for strum's `parse_err_fn`.
pub(super) fn unknown_name<T: VariantArray + Copy + Into<&'static str>>(_: &str) -> String {
    format!("must be one of {}", names::<T>().join(", "))
}

/// Gives enums that derive `IntoStaticStr` and `VariantArray` their names.
macro_rules! impl_names {
    ($($type:ident),*) => {
        $(
            impl $type {
                /// The name in requests and responses.
                #[must_use]
                pub fn name(self) -> &'static str {
                    self.into()
                }

                /// The names of all values, in their order.
                #[must_use]
                pub fn names() -> Vec<&'static str> {
                    $crate::domain::named::names::<Self>()
                }
            }
        )*
    };
}
pub(super) use impl_names;

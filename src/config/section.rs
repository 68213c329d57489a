//! How sections of settings are declared.
//!
//! Invariant: a setting is declared once, in a `section!` of `sections/`. The field of the configuration, the checks,
//! `config/default.toml` and `docs/settings.md` all come from that declaration.

use super::error::Violation;
use super::layers::Layers;
use super::setting::Setting;

/// A part of the configuration: a struct with a field for each setting.
pub(super) trait Section: Sized {
    /// What the settings of the section are about, line by line.
    const WORDS: &'static [&'static str];

    /// In the order of their declaration.
    fn settings() -> Vec<Setting>;

    /// The section's values, which have been checked.
    fn read(layers: &Layers) -> Result<Self, Violation>;
}

/// Declares a section: `NAME: TYPE [as READER] = DEFAULT, RULE;` below the setting's words. With `struct`, the type is
/// declared as well; with `impl`, it is one that another module has declared with the same fields.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        struct $type:ident in $section:literal {
            $($(#[doc = $words:literal])+ $name:ident: $field:ty $(as $reader:path)? = $default:expr, $rule:expr;)+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $type {
            $($(#[doc = $words])+ pub $name: $field,)+
        }

        section! {
            $(#[doc = $about])+
            impl $type in $section {
                $($(#[doc = $words])+ $name: $field $(as $reader)? = $default, $rule;)+
            }
        }
    };
    (
        $(#[doc = $about:literal])+
        impl $type:ident in $section:literal {
            $($(#[doc = $words:literal])+ $name:ident: $field:ty $(as $reader:path)? = $default:expr, $rule:expr;)+
        }
    ) => {
        impl crate::config::section::Section for $type {
            const WORDS: &'static [&'static str] = &[$($about),+];

            fn settings() -> Vec<crate::config::setting::Setting> {
                vec![$(crate::config::setting::Setting {
                    section: $section,
                    name: stringify!($name),
                    default: toml::Value::from($default),
                    rule: $rule,
                    words: &[$($words),+],
                }),+]
            }

            fn read(layers: &crate::config::layers::Layers) -> Result<Self, crate::config::error::Violation> {
                Ok(Self {
                    $($name: layers.read(
                        concat!($section, ".", stringify!($name)),
                        section!(@reader $($reader)?),
                    )?,)+
                })
            }
        }
    };
    (@reader) => { crate::config::readers::parsed };
    (@reader $reader:path) => { $reader };
}
pub(super) use section;

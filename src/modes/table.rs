//! What the list of modes expands to.
//!
//! Invariant: a mode's name is written once, in the list.

/// Declares the modes: their modules, [`Mode`](super::Mode), [`Input`](super::Input), and the ways from one to the other.
macro_rules! modes {
    ($($module:ident :: $Mode:ident = $name:literal),* $(,)?) => {
        $(
            mod $module;
            pub use $module::$Mode;
        )*

        /// A way of making an image.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
        )]
        pub enum Mode {
            $(#[serde(rename = $name)] $Mode,)*
        }

        impl Mode {
            /// All modes, in the order of the list.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$Mode),*];

            /// The name in routes, answers, key scopes and the store.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Mode => $name,)*
                }
            }

            /// Call `visitor` with the mode's type.
            pub fn visit<V: $crate::modes::ModeVisitor>(self, visitor: V) -> V::Output {
                match self {
                    $(Self::$Mode => visitor.visit::<$Mode>(),)*
                }
            }
        }

        /// A mode's own inputs.
        #[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
        pub enum Input {
            $(#[serde(rename = $name)] $Mode($Mode),)*
        }

        impl Input {
            /// The mode that these are inputs of.
            #[must_use]
            pub fn mode(&self) -> Mode {
                match self {
                    $(Self::$Mode(_) => Mode::$Mode,)*
                }
            }

            /// What all modes can do.
            #[must_use]
            pub fn get(&self) -> &dyn $crate::modes::ModeInput {
                match self {
                    $(Self::$Mode(input) => input,)*
                }
            }

            /// The same, to be changed.
            pub fn get_mut(&mut self) -> &mut dyn $crate::modes::ModeInput {
                match self {
                    $(Self::$Mode(input) => input,)*
                }
            }
        }

        $(
            impl From<$Mode> for Input {
                fn from(input: $Mode) -> Self {
                    Self::$Mode(input)
                }
            }

            impl $crate::modes::input::Listed for $Mode {
                const MODE: Mode = Mode::$Mode;
            }
        )*
    };
}

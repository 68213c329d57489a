//! Prompts as encoders read them: cleaned of what cannot be seen, with the syntax that people bring taken apart.
//!
//! Invariant: a text of visible characters without syntax is read as it is, byte for byte.

mod clean;
mod foreign;
mod networks;
mod parts;
mod reading;
mod schedules;
mod syntax;
mod text;
mod warnings;
mod weights;

pub use clean::{clean, is_blank};
pub use parts::write_parts;
pub use syntax::PromptSyntax;
pub use text::PromptText;
pub use warnings::prompt_warnings;

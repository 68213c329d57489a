//! Plain values that every module may use.
//!
//! Invariant: nothing here does I/O or depends on another module.

mod acceleration;
mod backend;
mod common;
mod device;
mod error;
mod excerpt;
mod finding;
mod image;
mod job;
mod mask;
mod named;
mod network;
mod placement;
mod prompt;
mod rect;
mod scheduler;
mod script;
mod size_policy;
mod translation;
mod warning;

pub use self::image::{Image, Size};
pub use acceleration::Acceleration;
pub use backend::{BackendChoice, Convolutions, InstructionSet, ProductPrecision};
pub use common::{Common, Limits, PriorKind, PriorSettings};
pub use device::{DeviceChoice, Dtype};
pub use error::{Failure, FailureKind, Violation, Violations};
pub use excerpt::excerpt;
pub use finding::{CATEGORIES, Finding};
pub use job::{Format, ImageMeta, JobState, Outcome, Output, Priority, Timings, Webhook, WebhookEvent};
pub use mask::MaskConvention;
pub use network::Network;
pub use placement::{Anchor, Region};
pub use prompt::{PromptSyntax, PromptText, clean, is_blank, prompt_warnings, write_parts};
pub use rect::Rect;
pub use scheduler::Scheduler;
pub use script::Script;
pub use size_policy::SizePolicy;
pub use strum::VariantArray;
pub use translation::{ApplyTo, TranslateWhen, TranslatedText};
pub use warning::{Warning, WarningCode};

//! The configuration: defaults below a file below the environment below flags.
//!
//! Invariant: a setting is declared once, in `sections/`; a [`Config`] has been checked, and secrets are never printed.

mod error;
mod files;
mod layers;
mod listen;
mod load;
mod location;
mod readers;
mod redact;
mod reference;
mod relations;
mod resolved;
mod rules;
mod section;
mod sections;
mod setting;

pub use error::{ConfigError, Violation};
pub use layers::{BotOverrides, Overrides, environment};
pub use listen::ListenAddress;
pub use load::Config;
pub use location::{ImagesLocation, StoreLocation};
pub use redact::without_user_info;
pub use reference::{default_toml, settings_md};
pub use rules::is_bot_token;
pub use sections::{
    Auth, Bot, Broker, Engine, Fetch, Jobs, KeysRequired, Marking, Metrics, Model, Moderation, ModerationLink,
    OnFailure, Pictures, Queue, RemoteService, ResultsAction, ResultsLink, Server, Store, Styles, Translate,
    TranslateBackend, Webhooks,
};

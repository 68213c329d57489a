//! The settings, declared: one file for each group of sections.

mod admission;
mod media;
mod model;
mod moderation;
mod observability;
mod server;
mod storage;

pub use admission::{Jobs, Queue, Webhooks};
pub use media::{Fetch, Marking, Styles};
pub use model::{Engine, Model};
pub use moderation::{Moderation, ModerationLink, OnFailure, RemoteService, ResultsAction, ResultsLink};
pub use observability::Metrics;
pub use server::{Auth, KeysRequired, Server};
pub use storage::{Pictures, Store};

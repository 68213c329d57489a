//! The settings, declared: one file for each group of sections.

#![allow(
    rustdoc::bare_urls,
    rustdoc::invalid_html_tags,
    rustdoc::broken_intra_doc_links,
    reason = "the words of settings are for the configuration file, where they stand as they are"
)]

mod admission;
mod bot;
mod media;
mod model;
mod moderation;
mod observability;
mod server;
mod storage;
mod translation;

pub use admission::{Jobs, Queue, Webhooks};
pub use bot::Bot;
pub use media::{Fetch, Marking, Styles};
pub use model::{Engine, Model};
pub use moderation::{Moderation, ModerationLink, OnFailure, RemoteService, ResultsAction, ResultsLink};
pub use observability::Metrics;
pub use server::{Auth, KeysRequired, Server, Web};
pub use storage::{Broker, Pictures, Store};
pub use translation::{Translate, TranslateBackend};

//! An inference server for Kandinsky 2.1 (Razzhigaev et al. 2023, arXiv 2310.03502).
//!
//! [`cli`] is the entry point, [`app`] the composition root; see ARCHITECTURE.md.

pub mod app;
pub mod auth;
pub mod bench;
pub mod bot;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod diffusion;
pub mod domain;
pub mod engine;
pub mod fair;
pub mod families;
pub mod fetch;
pub mod generation;
pub mod http;
pub mod hub;
pub mod imaging;
pub mod jobs;
pub mod journal;
pub mod lru;
pub mod metrics;
pub mod moderation;
pub mod modes;
pub mod records;
pub mod retry;
pub mod schedulers;
pub mod sentencepiece;
pub mod shutdown;
pub mod signature;
pub mod simulation;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod translation;

pub use kandinsky_tensor as tensor;

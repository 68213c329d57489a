//! What users rely on, from outside of the library: pictures, errors, downloads and the HTTP surface.

#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "pictures are small")]

mod app;
mod auth;
mod automatic1111;
mod bad_checkpoints;
mod batching;
mod bench;
mod browsers;
mod callers;
mod check_order;
mod concepts;
mod config;
mod credentials;
mod deaths;
mod durability;
mod embedded;
mod encodings;
mod faults;
mod faulty;
mod fetch;
mod goldens;
mod health;
mod help;
mod hostile;
mod http;
mod http2;
mod invariance;
mod jobs;
mod keys;
mod layouts;
mod marks;
mod masks;
mod meaning;
mod moderation;
mod modes;
mod pressure;
mod previews;
mod prompts;
mod proxies;
mod pull;
mod server;
mod tokenizers;
mod weights;
mod workers;

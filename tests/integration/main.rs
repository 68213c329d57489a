//! What users rely on, from outside of the library: pictures, errors, downloads and the HTTP surface.

#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "pictures are small")]

mod bad_checkpoints;
mod batching;
mod embedded;
mod goldens;
mod http;
mod kernels;
mod meaning;
mod modes;
mod pull;

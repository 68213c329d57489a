//! What users rely on, from outside of the library: pictures, errors, downloads and the HTTP surface.

mod bad_checkpoints;
mod embedded;
mod goldens;
mod http;
mod meaning;
mod modes;
mod pull;

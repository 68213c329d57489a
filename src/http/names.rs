//! Schemas of values with names that responses alone have.
//!
//! Invariant: every list of names is the one that the values come from.

use crate::modes::request::names::name_schema;

/// The stages that the contract lists: those of the model family that the server is for.
const STAGES: [&str; 4] = ["encode", "prior", "decoder", "decode"];

name_schema!(StageNameSchema, "Stages of a job.", STAGES);

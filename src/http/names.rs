//! Schemas of values with names that responses have.
//!
//! Invariant: every list of names is the one that the values come from.

use crate::domain::JobState;
use crate::modes::Mode;
use crate::modes::request::names::name_schema;

/// The stages that the contract lists: those of the model family that the server is for.
const STAGES: [&str; 4] = ["encode", "prior", "decoder", "decode"];

name_schema!(StatusName, "The state of a job.", JobState::names());
name_schema!(ModeName, "Generation modes.", Mode::ALL.map(Mode::name));
name_schema!(StageNameSchema, "Stages of a job.", STAGES);

//! Schemas of values with names that responses have.
//!
//! Invariant: every list of names is the one that the values come from.

use crate::domain::JobState;
use crate::engine::StageName;
use crate::modes::Mode;
use crate::modes::request::names::name_schema;

name_schema!(StatusName, "The state of a job.", JobState::names());
name_schema!(ModeName, "Generation modes.", Mode::ALL.map(Mode::name));
name_schema!(StageNameSchema, "Stages of a job.", StageName::ALL.map(StageName::name));

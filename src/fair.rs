//! Sharing between owners: whose turn it is, and how much one may hold.
//!
//! Invariant: however much one owner asks for, the others' turns come, and a part of what is shared is left for them.
//!
//! | module | holds |
//! |---|---|
//! | `turns` | whose turn it is, and an owner's share; pure |
//! | `room` | something of which there is so much, waited for in turns |

mod room;
mod turns;

pub use room::{FairPermit, FairRoom};
pub use turns::{FairTurns, is_within_share};

//! The HTTP front: routes, their contract, and errors as problem documents.
//!
//! Invariant: no response shows internals, and whatever a client sends gives a 2xx or a 4xx; a 5xx is the server's fault, or
//! says when to try again.
//!
//! | module | holds |
//! |---|---|
//! | [`context`], `limits` | what the composition root passes in |
//! | `readiness` | whether the server is ready |
//! | `client`, `budget`, `decoding`, `judging` | who something counts against, and what clients share |
//! | `router`, [`server`] | routes and middleware put together; connections |
//! | `forgiving` | addresses that are nearly right |
//! | `middleware` | what surrounds every route |
//! | `extract` | what handlers take out of a request |
//! | `submission` | from a body to a job: check, moderate, submit, wait |
//! | `respond` | what handlers answer with |
//! | `routes`, `compat` | the handlers, native and of compatible APIs |
//! | `error` | problems, where they come from, and who reads which form of them |
//! | `openapi` | the contract |
//!
//! Files import each other directly and in one direction only; tests/architecture.rs asserts it.

mod budget;
mod client;
mod compat;
pub mod context;
mod decoding;
mod error;
mod extract;
mod forgiving;
#[doc(hidden)]
pub mod fuzzing;
mod judging;
mod limits;
mod log_rate;
mod middleware;
mod names;
mod openapi;
mod readiness;
mod respond;
mod router;
mod routes;
pub mod server;
mod submission;

pub use context::{AppContext, AppState, CheckUrl};
pub use decoding::DecodeBudget;
pub use judging::JudgePlaces;
pub use limits::{ConnectionLimits, HttpLimits};
pub use readiness::Readiness;
pub use router::{contract, operations_router, router};
pub use routes::editor::INDEX as EDITOR_INDEX;

//! Connections: how many there may be, how long they may do nothing, and how they end.
//!
//! Invariant: a connection that is idle, too slow to send or to read, or whose head is too large, is closed; health is
//! answered whatever the others do.
//!
//! | module | holds |
//! |---|---|
//! | `accept` | the loop that takes connections in |
//! | `places` | how many there may be, in all and from one address, and who makes room |
//! | `connection` | one connection, from its first byte to its last |
//! | `watch`, `stall` | what a connection, and a stream of HTTP/2, is waiting for, and since when |
//! | `stream` | the socket, watched; half-closed ones |
//! | `bodies` | requests and responses, watched |
//! | `refusals` | what HTTP's parser refuses |

mod accept;
mod bodies;
mod connection;
mod places;
mod refusals;
mod stall;
mod stream;
mod watch;

pub use accept::{ServerHandle, serve};

//! The Telegram bot: the real binary on the real server with the model inside, against a strict Bot API in this process.
//!
//! Tests wait for what is there to be seen, never for a time. Every one ends by checking that no call was refused, no limit was
//! passed, and the token was in no log.

mod albums;
mod buttons;
mod deaths;
mod drawing;
mod fake;
mod faults;
mod groups;
mod harness;
mod inline;
mod limits;
mod messages;
mod once;
mod serve;
mod webhook;

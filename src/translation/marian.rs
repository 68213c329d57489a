//! Marian models, such as Helsinki-NLP's opus-mt-ru-en, read as they are published.
//!
//! Invariant: texts are translated one at a time, on a thread of their own; what is not waited for any more is not translated.

mod attention;
mod beam;
mod config;
mod model;
mod network;
mod vocabulary;
mod worker;

pub use beam::{EarlyStopping, Scorer, Search};
pub use config::{GenerationConfig, MarianConfig};
pub use model::MarianModel;
pub use network::{Decoding, Network};
pub use vocabulary::{Target, Vocabulary};
pub use worker::Marian;

//! SentencePiece's models (`*.model`, `*.spm`): read from their files, and texts divided into their pieces.
//!
//! Invariant: a text is divided as the reference does it, character by character and piece by piece; a file that says something
//! else than is implemented here is an error, never another division.

mod charsmap;
mod model;
mod normalizer;
mod protobuf;
mod unigram;

pub use model::{Algorithm, Model, Piece, PieceKind, SPACE};
pub use unigram::Unigram;

//! What a model's file says: its pieces with their scores, and how texts are normalised before they are divided.
//!
//! The file is a protocol buffer, sentencepiece's `ModelProto`; absent fields have its defaults.

use super::protobuf::{Value, fields};

/// What stands for a space in pieces, U+2581.
pub const SPACE: char = '▁';

/// A model as its file has it.
#[derive(Debug, Clone)]
pub struct Model {
    pub pieces: Vec<Piece>,
    pub algorithm: Algorithm,
    /// Whether what no piece covers is written in pieces that stand for bytes.
    pub byte_fallback: bool,
    /// The table of the normaliser, as it is compiled; empty: characters stay as they are.
    pub charsmap: Vec<u8>,
    /// Whether a text begins with a space.
    pub add_dummy_prefix: bool,
    /// Whether spaces at the ends, and all but one of several, are left out.
    pub remove_extra_whitespaces: bool,
    /// Whether spaces are written as [`SPACE`].
    pub escape_whitespaces: bool,
    /// Whether that space belongs to the end of a word.
    pub space_is_suffix: bool,
}

/// A piece of text.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    pub text: String,
    pub score: f32,
    pub kind: PieceKind,
}

/// `SentencePiece.Type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceKind {
    Normal,
    Unknown,
    Control,
    UserDefined,
    Unused,
    Byte,
}

/// `TrainerSpec.ModelType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Unigram,
    Other,
}

impl Model {
    /// Read a model's file: pieces in field 1, the trainer's settings in 2, the normaliser in 3.
    ///
    /// # Errors
    /// What is wrong, in words, if this is no such file, or if it is cut off.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        Self::parse(bytes).ok_or_else(|| "it is no sentencepiece model, or is cut off".to_owned())
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut model = Self {
            pieces: Vec::new(),
            algorithm: Algorithm::Unigram,
            byte_fallback: false,
            charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
            escape_whitespaces: true,
            space_is_suffix: false,
        };
        for field in fields(bytes) {
            match field? {
                (1, Value::Bytes(piece)) => model.pieces.push(read_piece(piece)?),
                (2, Value::Bytes(trainer)) => model.read_trainer(trainer)?,
                (3, Value::Bytes(normalizer)) => model.read_normalizer(normalizer)?,
                _ => {}
            }
        }
        Some(model)
    }

    fn read_trainer(&mut self, bytes: &[u8]) -> Option<()> {
        for field in fields(bytes) {
            match field? {
                (3, Value::Number(1)) => self.algorithm = Algorithm::Unigram,
                (3, Value::Number(_)) => self.algorithm = Algorithm::Other,
                (24, value) => self.space_is_suffix = value.flag()?,
                (35, value) => self.byte_fallback = value.flag()?,
                _ => {}
            }
        }
        Some(())
    }

    fn read_normalizer(&mut self, bytes: &[u8]) -> Option<()> {
        for field in fields(bytes) {
            match field? {
                (2, Value::Bytes(table)) => self.charsmap = table.to_vec(),
                (3, value) => self.add_dummy_prefix = value.flag()?,
                (4, value) => self.remove_extra_whitespaces = value.flag()?,
                (5, value) => self.escape_whitespaces = value.flag()?,
                _ => {}
            }
        }
        Some(())
    }
}

/// `SentencePiece`: its text in field 1, its score in 2, its kind in 3.
fn read_piece(bytes: &[u8]) -> Option<Piece> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: PieceKind::Normal };
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => piece.text = String::from_utf8(bytes.to_vec()).ok()?,
            (2, Value::Fixed32(bits)) => piece.score = f32::from_le_bytes(bits),
            (3, Value::Number(kind)) => piece.kind = PieceKind::of(kind)?,
            _ => {}
        }
    }
    Some(piece)
}

impl PieceKind {
    fn of(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Normal,
            2 => Self::Unknown,
            3 => Self::Control,
            4 => Self::UserDefined,
            5 => Self::Unused,
            6 => Self::Byte,
            _ => return None,
        })
    }
}

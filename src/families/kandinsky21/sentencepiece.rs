//! XLM-R's tokenizer from `sentencepiece.bpe.model` alone, as transformers converts it: for checkpoints from before
//! `tokenizer.json`.
//!
//! The file is a protocol buffer (sentencepiece's `ModelProto`): pieces with their scores, and the table of its normalizer.
//! The ids are fairseq's: four special tokens of its own in place of the first three pieces, and the mask behind the last.
//!
//! Invariant: a file that says something else than a unigram model is an error, never another tokenizer.

use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::Precompiled;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Tokenizer};

/// fairseq's first tokens, by their ids.
const SPECIAL: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
const MASK: &str = "<mask>";
/// The first pieces of the file: `<unk>`, `<s>`, `</s>`.
const OWN_SPECIAL: usize = 3;
/// `TrainerSpec.ModelType`.
const UNIGRAM: u64 = 1;

/// What is read of a model.
#[derive(Default)]
struct Model {
    pieces: Vec<(String, f64)>,
    kind: Option<u64>,
    /// The table of the normalizer.
    charsmap: Vec<u8>,
}

/// The tokenizer of a model file.
pub(super) fn read(bytes: &[u8]) -> Result<Tokenizer, String> {
    let Model { pieces, kind, charsmap } = Model::read(bytes).ok_or("it is no sentencepiece model, or is cut off")?;
    if kind.is_some_and(|kind| kind != UNIGRAM) {
        return Err("it is no unigram model, as XLM-R's is".to_owned());
    }
    if pieces.len() <= OWN_SPECIAL {
        return Err("it has no pieces".to_owned());
    }
    let unknown = SPECIAL.len() - 1;
    let special = SPECIAL.iter().map(|token| ((*token).to_owned(), 0.0));
    let vocabulary: Vec<(String, f64)> =
        special.chain(pieces.into_iter().skip(OWN_SPECIAL)).chain([(MASK.to_owned(), 0.0)]).collect();
    let failed = |error: tokenizers::Error| error.to_string();
    let mut tokenizer = Tokenizer::new(Unigram::from(vocabulary, Some(unknown), false).map_err(failed)?);
    if !charsmap.is_empty() {
        let table = Precompiled::from(&charsmap).map_err(|error| format!("its normalizer: {error}"))?;
        tokenizer.with_normalizer(Some(table)).map_err(failed)?;
    }
    tokenizer.with_pre_tokenizer(Some(PreTokenizers::new(vec![
        PreTokenizerWrapper::WhitespaceSplit(WhitespaceSplit),
        PreTokenizerWrapper::Metaspace(Metaspace::new('▁', PrependScheme::Always, true)),
    ])));
    let id = |token: &str| tokenizer.token_to_id(token).ok_or_else(|| format!("{token} is missing"));
    let ends =
        RobertaProcessing::new((SPECIAL[2].to_owned(), id(SPECIAL[2])?), (SPECIAL[0].to_owned(), id(SPECIAL[0])?));
    tokenizer.with_post_processor(Some(ends.trim_offsets(false).add_prefix_space(false)));
    let mut added: Vec<AddedToken> = SPECIAL.iter().map(|token| AddedToken::from(*token, true)).collect();
    added.push(AddedToken::from(MASK, true).lstrip(true));
    tokenizer.add_special_tokens(added).map_err(failed)?;
    Ok(tokenizer)
}

impl Model {
    /// `ModelProto`: pieces in field 1, the trainer's settings in 2, the normalizer in 3. `None`: it cannot be read.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut model = Self::default();
        for field in fields(bytes) {
            match field? {
                (1, Value::Bytes(piece)) => model.pieces.push(read_piece(piece)?),
                (2, Value::Bytes(trainer)) => {
                    for field in fields(trainer) {
                        if let (3, Value::Number(kind)) = field? {
                            model.kind = Some(kind);
                        }
                    }
                }
                (3, Value::Bytes(normalizer)) => {
                    for field in fields(normalizer) {
                        if let (2, Value::Bytes(table)) = field? {
                            model.charsmap = table.to_vec();
                        }
                    }
                }
                _ => {}
            }
        }
        Some(model)
    }
}

/// `SentencePiece`: its text in field 1, its score in 2.
fn read_piece(bytes: &[u8]) -> Option<(String, f64)> {
    let (mut text, mut score) = (String::new(), 0.0);
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(bytes)) => text = String::from_utf8(bytes.to_vec()).ok()?,
            (2, Value::Fixed32(bits)) => score = f64::from(f32::from_le_bytes(bits)),
            _ => {}
        }
    }
    Some((text, score))
}

/// A value of a protocol buffer.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
    Fixed64,
}

/// The fields of a message with their numbers; the last one is `None` if the message cannot be read on.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = Option<(u64, Value<'_>)>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = read_field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field)
    })
}

fn read_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = read_number(rest)?;
    let value = match tag & 7 {
        0 => Value::Number(read_number(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed64)?,
        2 => {
            let length = usize::try_from(read_number(rest)?).ok()?;
            Value::Bytes(take(rest, length)?)
        }
        5 => Value::Fixed32(take(rest, 4)?.try_into().ok()?),
        _ => return None,
    };
    Some((tag >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// A number in base 128, the lowest digits first.
fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

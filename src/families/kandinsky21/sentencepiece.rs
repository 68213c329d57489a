//! XLM-R's tokenizer from `sentencepiece.bpe.model` alone, as transformers converts it: for checkpoints from before
//! `tokenizer.json`.
//!
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

use crate::sentencepiece::{Algorithm, Model};

/// fairseq's first tokens, by their ids.
const SPECIAL: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
const MASK: &str = "<mask>";
/// The first pieces of the file: `<unk>`, `<s>`, `</s>`.
const OWN_SPECIAL: usize = 3;

/// The tokenizer of a model file.
pub(super) fn read(bytes: &[u8]) -> Result<Tokenizer, String> {
    let Model { pieces, algorithm, charsmap, .. } = Model::read(bytes)?;
    if algorithm != Algorithm::Unigram {
        return Err("it is no unigram model, as XLM-R's is".to_owned());
    }
    if pieces.len() <= OWN_SPECIAL {
        return Err("it has no pieces".to_owned());
    }
    let unknown = SPECIAL.len() - 1;
    let special = SPECIAL.iter().map(|token| ((*token).to_owned(), 0.0));
    let pieces = pieces.into_iter().skip(OWN_SPECIAL).map(|piece| (piece.text, f64::from(piece.score)));
    let vocabulary: Vec<(String, f64)> = special.chain(pieces).chain([(MASK.to_owned(), 0.0)]).collect();
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

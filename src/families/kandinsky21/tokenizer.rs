//! Texts to token ids: CLIP's byte-level BPE and XLM-R's unigram model, padded or cut to a fixed length.
//!
//! Invariant: the first and the last kept token are the model's start and end tokens, also of a text that was cut.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::replace::ReplacePattern;
use tokenizers::normalizers::{Lowercase, NFC, NormalizerWrapper, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{AddedToken, Encoding, SplitDelimiterBehavior, Tokenizer as Inner};

use super::sentencepiece;
use crate::domain::PromptText;
use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;

/// Tokens that both of Kandinsky's text encoders get, whatever their tokenizer's own limit is.
pub const TEXT_TOKENS: usize = 77;

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";
/// How CLIP splits a text into words.
const CLIP_WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// A tokenizer with its padding token.
pub struct Tokenizer {
    inner: Inner,
    pad: u32,
}

/// Token ids of one text, and which of them are not padding.
#[derive(Debug, Clone, PartialEq)]
pub struct Tokens {
    pub ids: Vec<u32>,
    pub mask: Vec<bool>,
    /// How often each counts; `None`: all once.
    pub weights: Option<Vec<f32>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TokenizerConfig {
    pad_token: Option<TokenName>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TokenName {
    Plain(String),
    Added { content: String },
}

impl Tokenizer {
    /// Load CLIP's tokenizer from a `tokenizer` folder: `tokenizer.json`, or `vocab.json` and `merges.txt`.
    pub fn clip(folder: &Folder) -> Result<Self> {
        let inner = if folder.has("tokenizer.json") { from_json(folder)? } else { clip_from_vocabulary(folder)? };
        Self::finish(folder, inner, END)
    }

    /// Load XLM-R's tokenizer from a `tokenizer` folder: `tokenizer.json`, or `sentencepiece.bpe.model`.
    pub fn xlm_roberta(folder: &Folder) -> Result<Self> {
        const MODEL: &str = "sentencepiece.bpe.model";
        let inner = if folder.has(MODEL) && !folder.has("tokenizer.json") {
            let contents = folder.require(MODEL, "a tokenizer")?;
            guarded(|| sentencepiece::read(&contents).map_err(Into::into))
                .map_err(|error| Error::config(folder.name_of(MODEL), error))?
        } else {
            from_json(folder)?
        };
        Self::finish(folder, inner, "<pad>")
    }

    fn finish(folder: &Folder, mut inner: Inner, default_pad: &str) -> Result<Self> {
        let bad = |message: String| Error::config(folder.name_of("tokenizer.json"), message);
        inner.with_truncation(None).map_err(|error| bad(error.to_string()))?;
        inner.with_padding(None);
        let config = "tokenizer_config.json";
        let named = if folder.has(config) {
            folder.json::<TokenizerConfig>(config, "the tokenizer's configuration")?.pad_token
        } else {
            None
        };
        let name = match named {
            Some(TokenName::Plain(content) | TokenName::Added { content }) => content,
            None => default_pad.to_owned(),
        };
        let pad = inner
            .token_to_id(&name)
            .ok_or_else(|| bad(format!("the padding token {name:?} is not in the vocabulary")))?;
        Ok(Self { inner, pad })
    }

    /// All ids of a text, start and end token included, neither padded nor cut.
    pub fn ids(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.encoding(text)?.get_ids().to_vec())
    }

    /// Ids of a text as it is, padded or cut to [`TEXT_TOKENS`].
    pub fn encode(&self, text: &str) -> Result<Tokens> {
        Ok(self.fit(self.ids(text)?))
    }

    /// The same of a prompt, with the weights of its tokens.
    pub fn encode_prompt(&self, prompt: &PromptText) -> Result<Tokens> {
        let encoding = self.encoding(prompt.as_str())?;
        let tokens = self.fit(encoding.get_ids().to_vec());
        if prompt.is_plain() {
            return Ok(tokens);
        }
        // A token is as heavy as its last character: some begin with the space before them. Start and end count once.
        let last = encoding.len().min(TEXT_TOKENS).saturating_sub(1);
        let offsets = encoding.get_offsets().iter().enumerate();
        let weights = offsets
            .take(TEXT_TOKENS)
            .map(|(i, (from, to))| if i == 0 || i == last || from == to { 1.0 } else { prompt.weight_at(to - 1) });
        let mut weights: Vec<f32> = weights.collect();
        weights.resize(TEXT_TOKENS, 1.0);
        Ok(Tokens { weights: Some(weights), ..tokens })
    }

    /// How many tokens a text has, and the byte at which the part begins that [`Self::encode`] cuts off; `None`: it fits.
    pub fn cut(&self, text: &str) -> Result<Option<(usize, usize)>> {
        let encoding = self.encoding(text)?;
        let first = encoding.get_offsets().get(TEXT_TOKENS - 1).filter(|_| encoding.len() > TEXT_TOKENS);
        Ok(first.map(|(from, _)| (encoding.len(), *from)))
    }

    /// Pad or cut ids to [`TEXT_TOKENS`].
    fn fit(&self, mut ids: Vec<u32>) -> Tokens {
        if let (true, Some(end)) = (ids.len() > TEXT_TOKENS, ids.last().copied()) {
            ids.truncate(TEXT_TOKENS - 1);
            ids.push(end);
        }
        let mut mask = vec![true; ids.len()];
        ids.resize(TEXT_TOKENS, self.pad);
        mask.resize(TEXT_TOKENS, false);
        Tokens { ids, mask, weights: None }
    }

    fn encoding(&self, text: &str) -> Result<Encoding> {
        guarded(|| self.inner.encode(text, true))
            .map_err(|error| Error::Request(format!("the text cannot be tokenized: {error}")))
    }

    /// Ids of all parts of a text, padded to [`TEXT_TOKENS`], that overlap by a third; `most` parts at most. Start and end
    /// tokens that the text spells out are left out: to the encoder a text ends at the first of them.
    pub fn parts(&self, text: &str, most: usize) -> Result<Vec<Vec<u32>>> {
        const CONTENT: usize = TEXT_TOKENS - 2;
        const STRIDE: usize = 2 * CONTENT / 3;
        let ids = self.ids(text)?;
        let (Some(start), Some(end)) = (ids.first().copied(), ids.last().copied()) else { return Ok(Vec::new()) };
        let content: Vec<u32> = ids.into_iter().filter(|id| ![start, end].contains(id)).collect();
        let count = 1 + content.len().saturating_sub(CONTENT).div_ceil(STRIDE);
        let part = |number: usize| {
            let from = number * STRIDE;
            let content = &content[from..content.len().min(from + CONTENT)];
            let mut ids = [&[start], content, &[end]].concat();
            ids.resize(TEXT_TOKENS, self.pad);
            ids
        };
        Ok((0..count.min(most)).map(part).collect())
    }
}

fn from_json(folder: &Folder) -> Result<Inner> {
    let contents = folder.require("tokenizer.json", "a tokenizer; XLM-R's may be sentencepiece.bpe.model instead")?;
    guarded(|| Inner::from_bytes(&contents[..])).map_err(|error| Error::config(folder.name_of("tokenizer.json"), error))
}

/// `tokenizers` panics on some files that contradict themselves, when it reads them or only later. All that it keeps from one
/// text to the next is a cache.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("it contradicts itself".to_owned()),
    }
}

/// The tokenizer as transformers' `CLIPTokenizer` builds it.
fn clip_from_vocabulary(folder: &Folder) -> Result<Inner> {
    let vocabulary: std::collections::HashMap<String, u32> =
        folder.json("vocab.json", "a tokenizer (tokenizer.json, or vocab.json and merges.txt)")?;
    let merges_file = folder.require("merges.txt", "the merges that belong to vocab.json")?;
    let bad = |message: String| Error::config(folder.name_of("merges.txt"), message);
    let text = std::str::from_utf8(&merges_file).map_err(|error| bad(error.to_string()))?;
    let merges = text
        .lines()
        .filter(|line| !line.starts_with("#version") && !line.trim().is_empty())
        .map(|line| {
            line.split_once(' ')
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .ok_or_else(|| bad(format!("a line without two parts: {line:?}")))
        })
        .collect::<Result<Vec<_>>>()?;
    let id = |token: &str| {
        vocabulary
            .get(token)
            .copied()
            .ok_or_else(|| Error::config(folder.name_of("vocab.json"), format!("{token} is missing")))
    };
    let (start, end) = (id(START)?, id(END)?);
    let failed = |error: tokenizers::Error| bad(error.to_string());
    let bpe = BPE::builder()
        .vocab_and_merges(vocabulary.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
        .unk_token(END.to_owned())
        .continuing_subword_prefix(String::new())
        .end_of_word_suffix("</w>".to_owned())
        .build()
        .map_err(failed)?;
    let mut inner = Inner::new(bpe);
    let spaces = Replace::new(ReplacePattern::Regex(r"\s+".to_owned()), " ").map_err(failed)?;
    inner
        .with_normalizer(Some(Normalizers::new(vec![
            NormalizerWrapper::NFC(NFC),
            NormalizerWrapper::Replace(spaces),
            NormalizerWrapper::Lowercase(Lowercase),
        ])))
        .map_err(failed)?;
    let words = Split::new(SplitPattern::Regex(CLIP_WORDS.to_owned()), SplitDelimiterBehavior::Removed, true)
        .map_err(failed)?;
    inner.with_pre_tokenizer(Some(PreTokenizers::new(vec![
        PreTokenizerWrapper::Split(words),
        PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, true, true)),
    ])));
    let ends = RobertaProcessing::new((END.to_owned(), end), (START.to_owned(), start));
    inner.with_post_processor(Some(ends.trim_offsets(false).add_prefix_space(false)));
    inner
        .add_special_tokens([AddedToken::from(START, true), AddedToken::from(END, true)])
        .map_err(|error| bad(error.to_string()))?;
    Ok(inner)
}

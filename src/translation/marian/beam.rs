//! The search for the most probable translation: greedy, or with several candidates at once (beam search), as transformers'
//! `generate` does both for one text.
//!
//! Invariant: scores are sums of log-probabilities in f32, divided by the length only when a candidate has ended, so that the text
//! found is the reference's.

use serde_json::Value;

use super::config::{GenerationConfig, MarianConfig};
use crate::tensor::error::{Error, Result};

/// Less than any sum of log-probabilities.
const IMPOSSIBLE: f32 = -1e9;
/// Candidates unless a checkpoint says otherwise; transformers' own default is 1.
const DEFAULT_BEAMS: usize = 1;
const MOST_BEAMS: usize = 32;
const DEFAULT_MAX_LENGTH: usize = 512;

/// What gives scores: a network that reads a text.
pub trait Scorer {
    /// Write one more token of each candidate; scores of all words as the next one, `[candidates * words]`.
    fn step(&mut self, tokens: &[u32]) -> Result<Vec<f32>>;

    /// Go on with these candidates, by the numbers that they had.
    fn select(&mut self, candidates: &[u32]) -> Result<()>;
}

/// How is searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    pub beams: usize,
    /// Most tokens of a result, the start token included.
    pub max_length: usize,
    pub length_penalty: f32,
    /// Words that are never written, as ids: the padding, which is also the start token; and sequences of which the last id never
    /// follows the others.
    pub banned: Vec<Vec<u32>>,
    /// Whether the last token that fits is the end.
    pub forced_end: bool,
    pub renormalize: bool,
    pub early_stopping: EarlyStopping,
    pub start: u32,
    pub end: u32,
}

/// When a search with enough finished candidates ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyStopping {
    /// At once.
    Yes,
    /// When those that go on are worse by now.
    No,
    /// When they can never be better.
    Never,
}

/// A candidate: its tokens without the start token, and its score.
#[derive(Debug, Clone)]
struct Candidate {
    tokens: Vec<u32>,
    score: f32,
}

/// A candidate with one more token.
#[derive(Debug, Clone, Copy)]
struct Next {
    parent: usize,
    token: u32,
    score: f32,
    ends: bool,
}

impl Search {
    /// As the checkpoint says; the error says what it asks for that is not done.
    pub fn new(config: &MarianConfig, generation: &GenerationConfig) -> std::result::Result<Self, String> {
        let beams = generation.num_beams.unwrap_or(DEFAULT_BEAMS);
        if !(1..=MOST_BEAMS).contains(&beams) {
            return Err(format!("num_beams must be 1 to {MOST_BEAMS}"));
        }
        if let Some(name) = generation.not_done() {
            return Err(format!("{name} is not supported"));
        }
        let mut banned = vec![vec![config.pad_token_id]];
        let words = generation.bad_words_ids.iter().flatten();
        // A text must be able to end.
        banned.extend(words.filter(|word| !word.is_empty() && **word != [config.eos_token_id]).cloned());
        let early_stopping = match &generation.early_stopping {
            None | Some(Value::Null | Value::Bool(false)) => EarlyStopping::No,
            Some(Value::Bool(true)) => EarlyStopping::Yes,
            Some(Value::String(name)) if name == "never" => EarlyStopping::Never,
            Some(other) => return Err(format!("early_stopping cannot be {other}")),
        };
        if generation.forced_eos_token_id.is_some_and(|forced| forced != config.eos_token_id) {
            return Err("forced_eos_token_id differs from eos_token_id, which is not supported".to_owned());
        }
        let ends = |id: &Value| id.as_u64() == Some(u64::from(config.eos_token_id));
        let is_usual_end = match &generation.eos_token_id {
            None | Some(Value::Null) => true,
            Some(Value::Array(ids)) => ids.iter().all(ends),
            Some(id) => ends(id),
        };
        if !is_usual_end {
            return Err("eos_token_id differs between generation_config.json and config.json".to_owned());
        }
        let start = generation.decoder_start_token_id.unwrap_or(config.pad_token_id);
        if start as usize >= config.target_vocab_size() {
            return Err("decoder_start_token_id is not in the vocabulary".to_owned());
        }
        #[expect(clippy::cast_possible_truncation, reason = "a small number")]
        let length_penalty = generation.length_penalty.unwrap_or(1.0) as f32;
        Ok(Self {
            beams,
            max_length: generation.max_length.unwrap_or(DEFAULT_MAX_LENGTH).clamp(2, config.max_position_embeddings),
            length_penalty,
            banned,
            forced_end: generation.forced_eos_token_id.is_some(),
            renormalize: generation.renormalize_logits.unwrap_or(false),
            early_stopping,
            start,
            end: config.eos_token_id,
        })
    }

    /// The tokens of the best text, without start and end. `None`: `canceled` said so before it was found.
    pub fn run(&self, scorer: &mut dyn Scorer, canceled: &dyn Fn() -> bool) -> Result<Option<Vec<u32>>> {
        let found = if self.beams == 1 { self.greedy(scorer, canceled)? } else { self.beams(scorer, canceled)? };
        Ok(found.map(|mut tokens| {
            tokens.retain(|token| *token != self.end);
            tokens
        }))
    }

    fn greedy(&self, scorer: &mut dyn Scorer, canceled: &dyn Fn() -> bool) -> Result<Option<Vec<u32>>> {
        let mut tokens: Vec<u32> = Vec::new();
        while tokens.last() != Some(&self.end) && 1 + tokens.len() < self.max_length {
            if canceled() {
                return Ok(None);
            }
            let mut scores = scorer.step(&[tokens.last().copied().unwrap_or(self.start)])?;
            self.restrict(&mut scores, &tokens);
            let Some(best) = highest(&scores, 1).into_iter().next() else { break };
            tokens.push(token_of(best)?);
        }
        Ok(Some(tokens))
    }

    fn beams(&self, scorer: &mut dyn Scorer, canceled: &dyn Fn() -> bool) -> Result<Option<Vec<u32>>> {
        let mut running = vec![Candidate { tokens: Vec::new(), score: 0.0 }];
        running.resize(self.beams, Candidate { tokens: Vec::new(), score: IMPOSSIBLE });
        let mut finished: Vec<Candidate> = Vec::new();
        let mut can_improve = true;
        loop {
            if canceled() {
                return Ok(None);
            }
            let next = self.extend(&running, scorer)?;
            let length = running[0].tokens.len() + 1;
            let extended = |next: &Next, score: f32| {
                let mut tokens = running[next.parent].tokens.clone();
                tokens.push(next.token);
                Candidate { tokens, score }
            };
            // Only the best may finish; the others are there so that enough go on.
            let is_full = finished.len() == self.beams && self.early_stopping == EarlyStopping::Yes;
            if can_improve && !is_full {
                let ended = next.iter().take(self.beams).filter(|next| next.ends);
                finished.extend(ended.map(|next| extended(next, self.final_score(next.score, length))));
                finished.sort_by(|a, b| b.score.total_cmp(&a.score));
                finished.truncate(self.beams);
            }
            let all_ended = next.iter().all(|next| next.ends);
            let going_on: Vec<&Next> = next.iter().filter(|next| !next.ends).take(self.beams).collect();
            let parents: Vec<u32> = going_on.iter().map(|next| token_of(next.parent)).collect::<Result<_>>()?;
            running = going_on.iter().map(|next| extended(next, next.score)).collect();
            let best = running.first().map_or(IMPOSSIBLE, |candidate| candidate.score);
            let worst_finished = finished.last().filter(|_| finished.len() == self.beams);
            let longest = if self.early_stopping == EarlyStopping::Never && self.length_penalty > 0.0 {
                self.max_length - 1
            } else {
                length
            };
            let hoped = self.final_score(best, longest);
            can_improve = can_improve && worst_finished.is_none_or(|worst| hoped > worst.score);
            let is_full = finished.len() == self.beams && self.early_stopping == EarlyStopping::Yes;
            if !can_improve || is_full || all_ended {
                break;
            }
            scorer.select(&parents)?;
        }
        // Without one that has ended, the best of the others.
        Ok(finished.into_iter().chain(running).next().map(|candidate| candidate.tokens))
    }

    /// The best continuations of all candidates, twice as many as there are candidates, best first.
    fn extend(&self, running: &[Candidate], scorer: &mut dyn Scorer) -> Result<Vec<Next>> {
        let last: Vec<u32> = running.iter().map(|c| c.tokens.last().copied().unwrap_or(self.start)).collect();
        let mut scores = scorer.step(&last)?;
        let words = scores.len() / running.len();
        let written = running[0].tokens.len();
        for (scores, candidate) in scores.chunks_exact_mut(words).zip(running) {
            log_softmax(scores);
            self.restrict(scores, &candidate.tokens);
            if self.renormalize {
                log_softmax(scores);
            }
            for score in scores {
                *score += candidate.score;
            }
        }
        let is_last = written + 2 >= self.max_length;
        let best = highest(&scores, 2 * self.beams).into_iter();
        best.map(|at| {
            let token = token_of(at % words)?;
            Ok(Next { parent: at / words, token, score: scores[at], ends: is_last || token == self.end })
        })
        .collect()
    }

    /// Take out words that must not come after these.
    fn restrict(&self, scores: &mut [f32], written: &[u32]) {
        for banned in &self.banned {
            let Some((last, before)) = banned.split_last() else { continue };
            let comes = match written.len().checked_sub(before.len()) {
                Some(at) => written[at..] == *before,
                // The start token is one of those that were written.
                None => before.len() == written.len() + 1 && before[0] == self.start && before[1..] == *written,
            };
            if let Some(score) = scores.get_mut(*last as usize).filter(|_| comes) {
                *score = f32::NEG_INFINITY;
            }
        }
        if self.forced_end && written.len() + 2 == self.max_length {
            scores.fill(f32::NEG_INFINITY);
            if let Some(score) = scores.get_mut(self.end as usize) {
                *score = 0.0;
            }
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of tokens")]
    fn final_score(&self, score: f32, length: usize) -> f32 {
        score / (length as f32).powf(self.length_penalty)
    }
}

fn token_of(at: usize) -> Result<u32> {
    u32::try_from(at).map_err(|_| Error::Request("the vocabulary is too large".to_owned()))
}

/// Logarithms of the softmax, in place.
fn log_softmax(scores: &mut [f32]) {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = scores.iter().map(|score| (score - most).exp()).sum();
    let log = sum.ln();
    for score in scores {
        *score = *score - most - log;
    }
}

/// The places of the `count` highest numbers, highest first; of equal ones the first.
fn highest(scores: &[f32], count: usize) -> Vec<usize> {
    let mut best: Vec<usize> = Vec::with_capacity(count + 1);
    for (at, score) in scores.iter().enumerate() {
        if best.len() == count && best.last().is_some_and(|last| *score <= scores[*last]) {
            continue;
        }
        let place = best.partition_point(|other| scores[*other] >= *score);
        best.insert(place, at);
        best.truncate(count);
    }
    best
}

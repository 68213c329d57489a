//! The prior's steps with the text read once.
//!
//! Invariant: the tokens of the text come first and, by the causal mask, attend to nothing behind them, so their keys and
//! values are the same at every timestep. A step computes the three tokens that change, and gives bit by bit (on the CPU)
//! what [`PriorTransformer::forward`] gives: a masked score's weight is exactly 0.

use std::sync::Arc;

use candle_core::Tensor;

use crate::families::kandinsky21::prior_transformer::network::PriorTransformer;
use crate::tensor::error::{Error, Result};
use crate::tensor::{Attention, probe};

/// Tokens that change with the timestep: the timestep itself, the noisy embedding and the learned query.
const CHANGING: usize = 3;

/// What the prior keeps of a text.
pub struct PriorContext {
    mask: Arc<[bool]>,
    /// Keys and values of the text's tokens in every block, `[tokens, width]`.
    blocks: Vec<(Tensor, Tensor)>,
}

/// The inputs of one step, a row a sample.
pub struct PriorStep<'a> {
    /// Noisy image embeddings, `[batch, embedding]`.
    pub latents: &'a Tensor,
    pub timesteps: &'a [f32],
    pub contexts: &'a [&'a PriorContext],
}

impl PriorTransformer {
    /// Read texts: projected embeddings `[batch, embedding]`, states `[batch, tokens, embedding]`, and which tokens are not
    /// padding.
    pub fn contexts(&self, embeds: &Tensor, states: &Tensor, masks: &[Arc<[bool]>]) -> Result<Vec<PriorContext>> {
        let tokens = states.dim(1)?;
        let ends: Vec<usize> =
            masks.iter().map(|mask| mask.iter().rposition(|kept| *kept).map_or(0, |at| at + 1)).collect();
        // Nothing attends to padding, so it is left out: what is computed is the longest text, up to a place that the embedding behind
        // the padding may have, too.
        let longest = ends.iter().copied().max().filter(|_| !probe::is_recording()).unwrap_or(tokens).min(tokens);
        let longest = tokens - (tokens - longest) / Attention::LANES * Attention::LANES;
        let text = self.embedding_proj.forward(embeds)?;
        let states = self.encoder_hidden_states_proj.forward(&states.narrow(1, 0, longest)?.contiguous()?)?;
        let mut x = Tensor::cat(&[&states, &text.unsqueeze(1)?], 1)?;
        let without_padding = |of: &Tensor, dim: usize| -> Result<Tensor> {
            Ok(Tensor::cat(&[of.narrow(dim, 0, longest)?, of.narrow(dim, tokens, 1)?], dim)?)
        };
        x = x.broadcast_add(&without_padding(&self.positional_embedding, 1)?)?;
        let bias = self.bias(masks.iter().map(|mask| &**mask), 0..tokens + 1)?;
        let bias = without_padding(&without_padding(&bias, 1)?, 2)?;
        let width = x.dim(2)?;
        // In memory of their own: a text may outlive those it was read with.
        let own = |of: &Tensor, row: usize| -> Result<Tensor> {
            let (of, end) = (of.get(row)?, ends[row].min(longest));
            let padding = Tensor::zeros((tokens - end, width), of.dtype(), of.device())?;
            Ok(Tensor::cat(&[&of.narrow(0, 0, end)?, &padding, &of.narrow(0, longest, 1)?], 0)?)
        };
        let mut contexts: Vec<PriorContext> =
            masks.iter().map(|mask| PriorContext { mask: mask.clone(), blocks: Vec::new() }).collect();
        for (i, block) in self.blocks.iter().enumerate() {
            let h = block.norm1.forward(&x)?;
            let (key, value) = (block.to_k.forward(&h)?, block.to_v.forward(&h)?);
            for (row, context) in contexts.iter_mut().enumerate() {
                context.blocks.push((own(&key, row)?, own(&value, row)?));
            }
            if i + 1 < self.blocks.len() {
                x = block.rest(&x, &h, (&key, &value), &[], Some(&bias))?;
            }
        }
        Ok(contexts)
    }

    /// Bytes of one [`PriorContext`].
    #[must_use]
    pub fn context_bytes(&self) -> usize {
        let config = &self.config;
        let width = config.num_attention_heads * config.attention_head_dim;
        let tokens = config.num_embeddings + config.additional_embeddings - CHANGING;
        2 * config.num_layers * tokens * width * self.compute.dtype().size_in_bytes()
    }

    /// The predicted clean embeddings, `[batch, embedding]`, in the prior's normalised space.
    pub fn step(&self, input: &PriorStep<'_>) -> Result<Tensor> {
        let (batch, _) = input.latents.dims2()?;
        if input.contexts.len() != batch || input.timesteps.len() != batch {
            let (contexts, timesteps) = (input.contexts.len(), input.timesteps.len());
            return Err(Error::Request(format!("{batch} embeddings, {contexts} texts and {timesteps} timesteps")));
        }
        let [output] = self.compute.split_rows(batch, self.bytes, |rows| {
            Ok([self.step_rows(&PriorStep {
                latents: &input.latents.narrow(0, rows.start, rows.len())?.contiguous()?,
                timesteps: &input.timesteps[rows.clone()],
                contexts: &input.contexts[rows],
            })?])
        })?;
        Ok(output)
    }

    fn step_rows(&self, input: &PriorStep<'_>) -> Result<Tensor> {
        probe::sequence("input.latents", input.latents);
        let batch = input.contexts.len();
        let time = self.time_embedding.forward(input.timesteps)?;
        let latents = self.proj_in.forward(input.latents)?;
        let width = self.prd_embedding.dim(2)?;
        let query = self.prd_embedding.broadcast_as((batch, 1, width))?.contiguous()?;
        let tokens = self.positional_embedding.dim(1)?;
        let first = tokens - CHANGING;
        let mut x = Tensor::cat(&[&time.unsqueeze(1)?, &latents.unsqueeze(1)?, &query], 1)?
            .broadcast_add(&self.positional_embedding.narrow(1, first, CHANGING)?)?;
        let bias = self.bias(input.contexts.iter().map(|context| &*context.mask), first..tokens)?;
        for (i, block) in self.blocks.iter().enumerate() {
            let context: Vec<(&Tensor, &Tensor)> = input
                .contexts
                .iter()
                .filter_map(|context| context.blocks.get(i).map(|(key, value)| (key, value)))
                .collect();
            let h = block.norm1.forward(&x)?;
            let own = (&block.to_k.forward(&h)?, &block.to_v.forward(&h)?);
            x = block.rest(&x, &h, own, &context, Some(&bias))?;
        }
        let last = self.norm_out.forward(&x.narrow(1, CHANGING - 1, 1)?.squeeze(1)?)?;
        let predicted = self.proj_to_clip_embeddings.forward(&last)?;
        probe::sequence("output", &predicted);
        Ok(predicted)
    }
}

//! Attention over an image's pixels and its added context (diffusers' `Attention` with `AttnAddedKVProcessor`).

use candle_core::Tensor;

use crate::families::kandinsky21::unet::config::UNetConfig;
use crate::tensor::error::{Error, Result};
use crate::tensor::{self, probe};
use crate::tensor::{Attention, Compute, GroupNorm, Linear, Vars};

/// Epsilon of the group norm inside attention layers, whatever the network's own is.
const NORM_EPS: f64 = 1e-5;

/// Keys and values of one sample's context, per attention layer, `[tokens, channels]` each.
#[derive(Default)]
pub(super) struct Projections(Vec<(Tensor, Tensor)>);

impl Projections {
    /// Bytes of their numbers.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|(key, value)| tensor::bytes(key) + tensor::bytes(value)).sum()
    }
}

/// Hands out the projections of a batch layer by layer.
pub(super) struct Cursor<'a> {
    rows: Vec<&'a Projections>,
    next: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(rows: Vec<&'a Projections>) -> Self {
        Self { rows, next: 0 }
    }

    /// Go on with the last `count` layers.
    pub(super) fn skip_to_last(&mut self, count: usize) {
        self.next = self.rows.first().map_or(0, |row| row.0.len().saturating_sub(count));
    }

    fn take(&mut self) -> Result<Vec<(&'a Tensor, &'a Tensor)>> {
        let layer = self.next;
        self.next += 1;
        self.rows
            .iter()
            .map(|row| row.0.get(layer).map(|(key, value)| (key, value)))
            .collect::<Option<_>>()
            .ok_or_else(|| Error::Request("a context of another network".to_owned()))
    }
}

pub(super) struct AddedKvAttention {
    group_norm: GroupNorm,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    add_k_proj: Linear,
    add_v_proj: Linear,
    to_out: Linear,
    heads: usize,
    compute: Compute,
}

impl AddedKvAttention {
    pub(super) fn load(vars: &Vars<'_>, config: &UNetConfig, channels: usize) -> Result<Self> {
        let heads = channels / config.attention_head_dim;
        if heads * config.attention_head_dim != channels {
            return Err(vars.bad_config(format!(
                "{channels} channels are no multiple of attention_head_dim {}",
                config.attention_head_dim
            )));
        }
        let own = |name: &str| Linear::load(&vars.sub(name), channels, channels);
        let added = |name: &str| Linear::load(&vars.sub(name), config.cross_attention_dim, channels);
        Ok(Self {
            group_norm: GroupNorm::load(&vars.sub("group_norm"), config.norm_num_groups, channels, NORM_EPS)?,
            to_q: own("to_q")?,
            to_k: own("to_k")?,
            to_v: own("to_v")?,
            add_k_proj: added("add_k_proj")?,
            add_v_proj: added("add_v_proj")?,
            to_out: own("to_out.0")?,
            heads,
            compute: vars.compute().clone(),
        })
    }

    /// Note the keys and values of context `tokens` `[tokens, cross]`.
    pub(super) fn project_context(&self, tokens: &Tensor, into: &mut Projections) -> Result<()> {
        into.0.push((self.add_k_proj.forward(tokens)?, self.add_v_proj.forward(tokens)?));
        Ok(())
    }

    /// `x` `[batch, height, width, channels]`, residual included.
    pub(super) fn forward(&self, x: &Tensor, cursor: &mut Cursor<'_>) -> Result<Tensor> {
        let h = self.group_norm.forward(x)?.flatten(1, 2)?;
        let attended = self.compute.attention(&Attention {
            query: &self.to_q.forward(&h)?,
            key: &self.to_k.forward(&h)?,
            value: &self.to_v.forward(&h)?,
            context: &cursor.take()?,
            heads: self.heads,
            bias: None,
        })?;
        let out = self.to_out.forward_add(&attended.reshape(x.shape())?, x)?;
        probe::image("", &out);
        Ok(out)
    }
}

//! Multi-head attention with optional added keys and values (a text and image context) and an additive bias.
//!
//! Invariant: a query row's result depends on its own sample alone: scores, softmax and the weighted sum are computed
//! row by row in one fixed order.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::tensor::activation::exp;
use crate::tensor::cpu::{self, Shared};
use crate::tensor::error::{Error, Result};
use crate::tensor::kernel::{self, MR, Tile};
use crate::tensor::packed::NR;
use crate::tensor::reference;
use crate::tensor::weights::Vars;

/// Scores this far below the greatest of their row count nothing: e^-80 is 1e-35.
const NEGLIGIBLE: f32 = -80.0;
/// Query rows of one task.
const ROW_BLOCK: usize = 2 * MR;

/// The inputs of an attention layer.
pub struct Attention<'a> {
    /// `[batch, queries, heads * head_width]`.
    pub query: &'a Tensor,
    /// `[batch, keys, heads * head_width]`.
    pub key: &'a Tensor,
    /// As `key`.
    pub value: &'a Tensor,
    /// Added keys and values, attended before `key`: one `[tokens, heads * head_width]` pair a sample, or none.
    pub context: &'a [(&'a Tensor, &'a Tensor)],
    pub heads: usize,
    /// Added to the scores, `[batch or 1, queries or 1, added and own keys]`.
    pub bias: Option<&'a Tensor>,
}

/// Scaled dot-product attention: softmax(q k^T / sqrt(head_width) + bias) v, `[batch, queries, heads * head_width]`.
pub fn attention(inputs: &Attention<'_>) -> Result<Tensor> {
    let (batch, queries, width) = inputs.query.dims3()?;
    let (_, own_keys, _) = inputs.key.dims3()?;
    if inputs.heads == 0 || !width.is_multiple_of(inputs.heads) {
        return Err(message(format!("{width} channels cannot be split into {} heads", inputs.heads)));
    }
    if !inputs.query.device().is_cpu() {
        return reference::attention(inputs);
    }
    if !inputs.context.is_empty() && inputs.context.len() != batch {
        return Err(message(format!("{} contexts for {batch} samples", inputs.context.len())));
    }
    let added = inputs.context.first().map_or(Ok(0), |(key, _)| key.dims2().map(|(tokens, _)| tokens))?;
    let keys = added + own_keys;
    let shape = Shape { batch, queries, keys, heads: inputs.heads, head_width: width / inputs.heads };

    let key = join(inputs.key, inputs.context.iter().map(|c| c.0), batch)?;
    let value = join(inputs.value, inputs.context.iter().map(|c| c.1), batch)?;
    let query = inputs.query.contiguous()?;
    let bias = inputs.bias.map(|bias| Bias::new(bias, batch, queries, keys)).transpose()?;
    let packed = cpu::with(&key, |key| cpu::with(&value, |value| Ok(pack(&shape, key, value))))?;
    let out = cpu::with(&query, |query| Ok(attend(&shape, query, &packed, bias.as_ref())))?;
    cpu::tensor(out, &[batch, queries, width])
}

/// Whether `width` channels can be split into `heads` heads; if not, an error about the configuration of `vars`.
pub fn check_heads(vars: &Vars<'_>, width: usize, heads: usize) -> Result<()> {
    if heads > 0 && width.is_multiple_of(heads) {
        return Ok(());
    }
    Err(vars.bad_config(format!("{width} channels cannot be split into {heads} heads")))
}

fn message(text: String) -> Error {
    Error::Tensor(candle_core::Error::Msg(text))
}

/// Context tokens before own tokens, per sample.
fn join<'a>(own: &Tensor, context: impl Iterator<Item = &'a Tensor>, batch: usize) -> Result<Tensor> {
    let context: Vec<&Tensor> = context.collect();
    if context.is_empty() {
        return Ok(own.contiguous()?);
    }
    let mut rows = Vec::with_capacity(batch);
    for (sample, context) in context.into_iter().enumerate() {
        rows.push(Tensor::cat(&[context, &own.get(sample)?], 0)?);
    }
    Ok(Tensor::stack(&rows, 0)?)
}

struct Shape {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    head_width: usize,
}

impl Shape {
    fn width(&self) -> usize {
        self.heads * self.head_width
    }

    fn key_panels(&self) -> usize {
        self.keys.div_ceil(NR)
    }

    fn value_panels(&self) -> usize {
        self.head_width.div_ceil(NR)
    }

    fn key_len(&self) -> usize {
        self.key_panels() * self.head_width * NR
    }

    fn value_len(&self) -> usize {
        self.value_panels() * self.keys * NR
    }
}

struct Bias {
    values: Vec<f32>,
    per_sample: usize,
    per_query: usize,
    keys: usize,
}

impl Bias {
    fn new(bias: &Tensor, batch: usize, queries: usize, keys: usize) -> Result<Self> {
        let (samples, rows, columns) = bias.dims3()?;
        if columns != keys || (samples != batch && samples != 1) || (rows != queries && rows != 1) {
            return Err(message(format!("a bias of {:?} for {batch} x {queries} x {keys} scores", bias.dims())));
        }
        Ok(Self {
            values: super::to_vec(bias)?,
            per_sample: if samples == 1 { 0 } else { rows * columns },
            per_query: if rows == 1 { 0 } else { columns },
            keys,
        })
    }

    fn row(&self, sample: usize, query: usize) -> &[f32] {
        &self.values[sample * self.per_sample + query * self.per_query..][..self.keys]
    }
}

/// Keys and values of every head, in panels: keys as `[head_width][NR keys]`, values as `[keys][NR columns]`.
fn pack(shape: &Shape, key: &[f32], value: &[f32]) -> Vec<f32> {
    let (width, per_head) = (shape.width(), shape.key_len() + shape.value_len());
    let mut packed = vec![0.0_f32; shape.batch * shape.heads * per_head];
    packed.par_chunks_mut(per_head).enumerate().for_each(|(index, out)| {
        let (sample, head) = (index / shape.heads, index % shape.heads);
        let start = sample * shape.keys * width + head * shape.head_width;
        let (keys, values) = out.split_at_mut(shape.key_len());
        for k in 0..shape.keys {
            let at = start + k * width;
            let panel = &mut keys[(k / NR) * shape.head_width * NR + k % NR..];
            for (d, x) in key[at..at + shape.head_width].iter().enumerate() {
                panel[d * NR] = *x;
            }
            for (p, columns) in value[at..at + shape.head_width].chunks(NR).enumerate() {
                values[(p * shape.keys + k) * NR..][..columns.len()].copy_from_slice(columns);
            }
        }
    });
    packed
}

#[expect(clippy::cast_precision_loss, reason = "head widths are small")]
fn attend(shape: &Shape, query: &[f32], packed: &[f32], bias: Option<&Bias>) -> Vec<f32> {
    let width = shape.width();
    let per_head = shape.key_len() + shape.value_len();
    let scale = 1.0 / (shape.head_width as f32).sqrt();
    let mut out = vec![0.0; shape.batch * shape.queries * width];
    let shared = Shared(out.as_mut_ptr());
    let blocks = shape.queries.div_ceil(ROW_BLOCK);
    let padded = shape.key_panels() * NR;
    (0..shape.batch * shape.heads * blocks).into_par_iter().for_each_init(
        || vec![0.0_f32; MR * padded],
        |scores, index| {
            let (head_index, block) = (index / blocks, index % blocks);
            let (sample, head) = (head_index / shape.heads, head_index % shape.heads);
            let (keys, values) = packed[head_index * per_head..][..per_head].split_at(shape.key_len());
            let last = ((block + 1) * ROW_BLOCK).min(shape.queries);
            for first in (block * ROW_BLOCK..last).step_by(MR) {
                let rows = MR.min(last - first);
                let at = (sample * shape.queries + first) * width + head * shape.head_width;
                let mut pointers = [std::ptr::null::<f32>(); MR];
                for (r, pointer) in pointers.iter_mut().enumerate().take(rows) {
                    *pointer = query[at + r * width..][..shape.head_width].as_ptr();
                }
                let tile = Tile {
                    pointers: &pointers[..rows],
                    taps: 1,
                    rows,
                    depth: shape.head_width,
                    width: NR,
                    out: scores.as_mut_ptr(),
                    stride: padded,
                    accumulate: false,
                };
                for panel in 0..shape.key_panels() {
                    let keys = &keys[panel * shape.head_width * NR..][..shape.head_width * NR];
                    // SAFETY: scores has MR rows of `padded`; panels and rows have `head_width` entries.
                    unsafe { kernel::run(Tile { out: scores.as_mut_ptr().add(panel * NR), ..tile }, keys.as_ptr()) };
                }
                for r in 0..rows {
                    let bias = bias.map(|bias| bias.row(sample, first + r));
                    softmax(&mut scores[r * padded..][..shape.keys], scale, bias);
                }
                let mut weights = [std::ptr::null::<f32>(); MR];
                for (weights, row) in weights.iter_mut().zip(scores.chunks(padded)).take(rows) {
                    *weights = row.as_ptr();
                }
                for panel in 0..shape.value_panels() {
                    let values = &values[panel * shape.keys * NR..][..shape.keys * NR];
                    // SAFETY: this task alone writes these rows of this head; each score row has `keys` entries.
                    unsafe {
                        let tile = Tile {
                            pointers: &weights[..rows],
                            depth: shape.keys,
                            width: NR.min(shape.head_width - panel * NR),
                            out: shared.at(at + panel * NR),
                            stride: width,
                            ..tile
                        };
                        kernel::run(tile, values.as_ptr());
                    }
                }
            }
        },
    );
    out
}

/// softmax(scale * row + bias), in place.
fn softmax(row: &mut [f32], scale: f32, bias: Option<&[f32]>) {
    match bias {
        None => row.iter_mut().for_each(|x| *x *= scale),
        Some(bias) => row.iter_mut().zip(bias).for_each(|(x, b)| *x = *x * scale + b),
    }
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for x in row.iter_mut() {
        // Masked scores give exact zeros: denormals would slow down every product with them a hundredfold.
        let below = *x - max;
        *x = if below < NEGLIGIBLE { 0.0 } else { exp(below) };
    }
    let mut sums = [0.0_f32; 16];
    for chunk in row.chunks(16) {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x;
        }
    }
    let inverse = 1.0 / sums.iter().sum::<f32>();
    for x in row {
        *x *= inverse;
    }
}

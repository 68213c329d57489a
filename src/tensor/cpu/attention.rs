//! Attention: keys and values of every head are packed once, then each task handles some query rows of one head.
//!
//! Invariant: a query row's result depends on its own sample alone: scores, softmax and the weighted sum are computed
//! row by row in one fixed order.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::attention::{Attention, AttentionShape};
use crate::cpu::buffers::{self, SharedOutput};
use crate::cpu::kernels::{Kernel, MR, NR, Tile};
use crate::cpu::math::exp;
use crate::error::Result;
use crate::values::to_vec;

/// Scores this far below the greatest of their row count nothing: e^-80 is 1e-35.
const NEGLIGIBLE: f32 = -80.0;
/// Query rows of one task.
const ROW_BLOCK: usize = 2 * MR;

/// `[batch, queries, heads * head_width]`.
pub(super) fn attention(kernel: &'static dyn Kernel, inputs: &Attention<'_>) -> Result<Tensor> {
    let shape = inputs.check()?;
    let key = join(inputs.key, inputs.context.iter().map(|c| c.0))?;
    let value = join(inputs.value, inputs.context.iter().map(|c| c.1))?;
    let bias = inputs.bias.map(Bias::new).transpose()?;
    let packed =
        buffers::with_values(&key, |key| buffers::with_values(&value, |value| PackedHeads::new(shape, key, value)))??;
    let out = buffers::with_values(inputs.query, |query| packed.attend(kernel, query, bias.as_ref()))?;
    buffers::tensor(out, &[shape.batch, shape.queries, shape.width()])
}

/// Context tokens before own tokens, per sample.
fn join<'a>(own: &Tensor, context: impl Iterator<Item = &'a Tensor>) -> Result<Tensor> {
    let rows = context
        .enumerate()
        .map(|(sample, context)| Tensor::cat(&[context, &own.get(sample)?], 0))
        .collect::<candle_core::Result<Vec<Tensor>>>()?;
    if rows.is_empty() {
        return Ok(own.clone());
    }
    Ok(Tensor::stack(&rows, 0)?)
}

/// What is added to the scores.
struct Bias {
    values: Vec<f32>,
    per_sample: usize,
    per_query: usize,
    keys: usize,
}

impl Bias {
    fn new(bias: &Tensor) -> Result<Self> {
        let (samples, rows, keys) = bias.dims3()?;
        Ok(Self {
            values: to_vec(bias)?,
            per_sample: if samples == 1 { 0 } else { rows * keys },
            per_query: if rows == 1 { 0 } else { keys },
            keys,
        })
    }

    fn row(&self, sample: usize, query: usize) -> &[f32] {
        &self.values[sample * self.per_sample + query * self.per_query..][..self.keys]
    }
}

/// Keys and values of every head, in panels: keys as `[head_width][NR keys]`, values as `[keys][NR columns]`.
struct PackedHeads {
    shape: AttentionShape,
    /// Per head: all key panels, then all value panels.
    panels: Vec<f32>,
}

impl PackedHeads {
    fn new(shape: AttentionShape, key: &[f32], value: &[f32]) -> Self {
        let AttentionShape { batch, keys, heads, head_width, .. } = shape;
        let width = shape.width();
        let mut packed = Self { shape, panels: Vec::new() };
        let per_head = packed.head_len();
        packed.panels = vec![0.0; batch * heads * per_head];
        let key_len = packed.key_len();
        packed.panels.par_chunks_mut(per_head).enumerate().for_each(|(index, out)| {
            let (sample, head) = (index / heads, index % heads);
            let start = sample * keys * width + head * head_width;
            let (key_panels, value_panels) = out.split_at_mut(key_len);
            for k in 0..keys {
                let at = start + k * width;
                let panel = &mut key_panels[(k / NR) * head_width * NR + k % NR..];
                for (d, x) in key[at..at + head_width].iter().enumerate() {
                    panel[d * NR] = *x;
                }
                for (p, columns) in value[at..at + head_width].chunks(NR).enumerate() {
                    value_panels[(p * keys + k) * NR..][..columns.len()].copy_from_slice(columns);
                }
            }
        });
        packed
    }

    fn key_panels(&self) -> usize {
        self.shape.keys.div_ceil(NR)
    }

    fn value_panels(&self) -> usize {
        self.shape.head_width.div_ceil(NR)
    }

    fn key_len(&self) -> usize {
        self.key_panels() * self.shape.head_width * NR
    }

    fn head_len(&self) -> usize {
        self.key_len() + self.value_panels() * self.shape.keys * NR
    }

    #[expect(clippy::cast_precision_loss, reason = "head widths are small")]
    fn attend(&self, kernel: &dyn Kernel, query: &[f32], bias: Option<&Bias>) -> Vec<f32> {
        let AttentionShape { batch, queries, keys: key_count, heads, head_width } = self.shape;
        let width = self.shape.width();
        let scale = 1.0 / (head_width as f32).sqrt();
        let mut out = vec![0.0; batch * queries * width];
        let shared = SharedOutput::new(&mut out);
        let blocks = queries.div_ceil(ROW_BLOCK);
        let padded = self.key_panels() * NR;
        (0..batch * heads * blocks).into_par_iter().for_each_init(
            || vec![0.0_f32; MR * padded],
            |scores, index| {
                let (head_index, block) = (index / blocks, index % blocks);
                let (sample, head) = (head_index / heads, head_index % heads);
                let (keys, values) =
                    self.panels[head_index * self.head_len()..][..self.head_len()].split_at(self.key_len());
                let last = ((block + 1) * ROW_BLOCK).min(queries);
                for first in (block * ROW_BLOCK..last).step_by(MR) {
                    let rows = MR.min(last - first);
                    let at = (sample * queries + first) * width + head * head_width;
                    let mut pointers = [std::ptr::null::<f32>(); MR];
                    for (r, pointer) in pointers.iter_mut().enumerate().take(rows) {
                        *pointer = query[at + r * width..][..head_width].as_ptr();
                    }
                    let tile = Tile {
                        pointers: &pointers[..rows],
                        taps: 1,
                        rows,
                        depth: head_width,
                        width: NR,
                        out: scores.as_mut_ptr(),
                        stride: padded,
                        accumulate: false,
                    };
                    for panel in 0..self.key_panels() {
                        let keys = &keys[panel * head_width * NR..][..head_width * NR];
                        // SAFETY: scores has MR rows of `padded`; panels and rows have `head_width` entries.
                        unsafe {
                            kernel.multiply_f32(Tile { out: tile.out.add(panel * NR), ..tile }, keys.as_ptr());
                        }
                    }
                    for r in 0..rows {
                        let bias = bias.map(|bias| bias.row(sample, first + r));
                        softmax(&mut scores[r * padded..][..key_count], scale, bias);
                    }
                    let mut weights = [std::ptr::null::<f32>(); MR];
                    for (weights, row) in weights.iter_mut().zip(scores.chunks(padded)).take(rows) {
                        *weights = row.as_ptr();
                    }
                    for panel in 0..self.value_panels() {
                        let values = &values[panel * key_count * NR..][..key_count * NR];
                        // SAFETY: this task alone writes these rows of this head; each score row has `keys` entries.
                        unsafe {
                            let tile = Tile {
                                pointers: &weights[..rows],
                                depth: key_count,
                                width: NR.min(head_width - panel * NR),
                                out: shared.at(at + panel * NR),
                                stride: width,
                                ..tile
                            };
                            kernel.multiply_f32(tile, values.as_ptr());
                        }
                    }
                }
            },
        );
        out
    }
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

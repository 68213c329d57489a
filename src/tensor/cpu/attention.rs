//! Attention: keys and values of every head are packed once, then each task handles some query rows of one head.
//!
//! Invariant: a query row's result depends on its own sample alone: scores, softmax and the weighted sum are computed
//! row by row in one fixed order.

use candle_core::Tensor;

use crate::attention::{Attention, AttentionShape};
use crate::cpu::attention_bf16::HeadsInBf16;
use crate::cpu::buffers::{self, SharedOutput};
use crate::cpu::gemm::PARALLEL_FLOOR;
use crate::cpu::heads::{Heads, Queries, Sums, Tokens, pack_heads, padded};
use crate::cpu::kernels::{Kernel, Loop, MR, NR, PAIR_LINE, Tile};
use crate::cpu::options::ProductPrecision;
use crate::cpu::scratch::Scratch;
use crate::error::Result;
use crate::parallel;
use crate::values::to_vec;

/// Most query rows of one task, by tiles: each panel of keys and values that is read serves them all.
const TASK_TILES: usize = 4;
/// Tasks per thread that are aimed at.
const TASKS_PER_THREAD: usize = 4;
/// Keys whose values are added at a time, so that they stay in the cache for all tiles.
const KEY_BLOCK: usize = 256;

/// `[batch, queries, heads * head_width]`.
pub(super) fn attention(
    kernel: &'static dyn Kernel,
    precision: ProductPrecision,
    inputs: &Attention<'_>,
) -> Result<Tensor> {
    let shape = inputs.check()?;
    let added_keys = stack(inputs.context.iter().map(|context| context.0))?;
    let added_values = stack(inputs.context.iter().map(|context| context.1))?;
    let bias = inputs.bias.map(Bias::new).transpose()?;
    let in_bf16 = precision == ProductPrecision::Bf16 && shape.head_width >= PAIR_LINE;
    let pairs = if in_bf16 { kernel.pairs() } else { None };
    let out = with_tokens(added_keys.as_ref(), inputs.key, |keys| {
        with_tokens(added_values.as_ref(), inputs.value, |values| {
            buffers::with_values(inputs.query, |query| match pairs {
                Some(pairs) => {
                    attend(kernel, &HeadsInBf16::new(pairs, shape, keys, values), &shape, query, bias.as_ref())
                }
                None => attend(kernel, &HeadsInF32::new(kernel, shape, keys, values), &shape, query, bias.as_ref()),
            })
        })
    })???;
    buffers::tensor(out, &[shape.batch, shape.queries, shape.width()])
}

/// The added tokens of all samples, `[batch, added, width]`.
fn stack<'a>(context: impl Iterator<Item = &'a Tensor>) -> Result<Option<Tensor>> {
    let context: Vec<&Tensor> = context.collect();
    Ok(if context.is_empty() { None } else { Some(Tensor::stack(&context, 0)?) })
}

fn with_tokens<R>(added: Option<&Tensor>, own: &Tensor, f: impl FnOnce(Tokens<'_>) -> R) -> Result<R> {
    buffers::with_optional(added, |added| {
        buffers::with_values(own, |own| f(Tokens { added: added.unwrap_or_default(), own }))
    })?
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

#[expect(clippy::cast_precision_loss, reason = "head widths are small")]
fn attend(
    kernel: &dyn Kernel,
    packed: &impl Heads,
    shape: &AttentionShape,
    query: &[f32],
    bias: Option<&Bias>,
) -> Vec<f32> {
    let AttentionShape { batch, queries, keys: key_count, heads, head_width } = *shape;
    let (width, padded) = (shape.width(), padded(shape));
    let scale = 1.0 / (head_width as f32).sqrt();
    let mut out = buffers::output(batch * queries * width);
    let shared = SharedOutput::new(&mut out);
    let wanted = (TASKS_PER_THREAD * parallel::threads()).div_ceil((batch * heads).max(1));
    let tiles = queries.div_ceil(MR).div_ceil(wanted).clamp(1, TASK_TILES);
    let block_rows = tiles * MR;
    let blocks = queries.div_ceil(block_rows);
    let task = |index: usize| {
        let (head_index, block) = (index / blocks, index % blocks);
        let (sample, head) = (head_index / heads, head_index % heads);
        let first = block * block_rows;
        let rows = block_rows.min(queries - first);
        let at = (sample * queries + first) * width + head * head_width;
        Scratch::Task.with(block_rows * padded + packed.working_numbers(block_rows), |scratch| {
            let (scores, working) = scratch.split_at_mut(block_rows * padded);
            packed.score(head_index, &Queries { values: query, at, width, rows }, scores, working);
            let mut inverses = [0.0; TASK_TILES * MR];
            for (r, (row, inverse)) in scores.chunks_mut(padded).zip(&mut inverses).take(rows).enumerate() {
                let bias = bias.map(|bias| bias.row(sample, first + r));
                kernel.run(Loop::Exponentials { row: &mut row[..key_count], scale, bias, inverse });
            }
            packed.sum(head_index, scores, &inverses, working, &Sums { out: shared, at, width, rows });
        });
    };
    let tasks = batch * heads * blocks;
    let work = 2 * batch * queries * key_count * width;
    if work < PARALLEL_FLOOR {
        (0..tasks).for_each(task);
    } else {
        parallel::for_each_task(tasks, task);
    }
    out
}

/// In panels of f32: keys as `[head_width][NR keys]`, values as `[keys][NR columns]`.
struct HeadsInF32 {
    kernel: &'static dyn Kernel,
    shape: AttentionShape,
    /// Per head: all key panels, then all value panels.
    panels: Vec<f32>,
}

impl HeadsInF32 {
    fn new(kernel: &'static dyn Kernel, shape: AttentionShape, key: Tokens<'_>, value: Tokens<'_>) -> Self {
        let AttentionShape { keys, head_width, .. } = shape;
        let mut packed = Self { kernel, shape, panels: Vec::new() };
        let key_len = packed.key_len();
        packed.panels = pack_heads(&shape, (key, value), packed.head_len(), |key, value, out| {
            let (key_panels, value_panels) = out.split_at_mut(key_len);
            // What no key and no column fills.
            if !keys.is_multiple_of(NR) {
                key_panels[key_len - head_width * NR..].fill(0.0);
            }
            if !head_width.is_multiple_of(NR) {
                value_panels[head_width / NR * keys * NR..].fill(0.0);
            }
            for k in 0..keys {
                let panel = &mut key_panels[(k / NR) * head_width * NR + k % NR..];
                for (d, x) in key.row(k).iter().enumerate() {
                    panel[d * NR] = *x;
                }
                for (p, columns) in value.row(k).chunks(NR).enumerate() {
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

    /// Keys and values.
    fn of(&self, head: usize) -> (&[f32], &[f32]) {
        self.panels[head * self.head_len()..][..self.head_len()].split_at(self.key_len())
    }
}

impl Heads for HeadsInF32 {
    fn working_numbers(&self, _rows: usize) -> usize {
        0
    }

    fn score(&self, head: usize, queries: &Queries<'_>, scores: &mut [f32], _working: &mut [f32]) {
        let (head_width, padded) = (self.shape.head_width, padded(&self.shape));
        for (panel, keys) in self.of(head).0.chunks_exact(head_width * NR).enumerate() {
            for (row, count) in queries.tiles() {
                let pointers: [*const f32; MR] =
                    std::array::from_fn(|r| queries.row(row + r.min(count - 1), head_width).as_ptr());
                let out = scores[row * padded + panel * NR..][..(count - 1) * padded + NR].as_mut_ptr();
                // SAFETY: `count` rows of scores, `padded` apart; panels and rows have `head_width` entries.
                unsafe {
                    let tile = Tile {
                        pointers: &pointers[..count],
                        taps: 1,
                        rows: count,
                        depth: head_width,
                        width: NR,
                        out,
                        stride: padded,
                        accumulate: false,
                    };
                    self.kernel.multiply_f32(tile, keys.as_ptr());
                }
            }
        }
    }

    fn sum(&self, head: usize, scores: &mut [f32], factors: &[f32], _working: &mut [f32], sums: &Sums<'_>) {
        let (head_width, key_count, padded) = (self.shape.head_width, self.shape.keys, padded(&self.shape));
        for (row, by) in scores.chunks_mut(padded).zip(factors).take(sums.rows) {
            self.kernel.run(Loop::Scale { x: &mut row[..key_count], by: *by });
        }
        let values = self.of(head).1;
        for panel in 0..self.value_panels() {
            for key in (0..key_count).step_by(KEY_BLOCK) {
                let depth = KEY_BLOCK.min(key_count - key);
                let values = &values[(panel * key_count + key) * NR..][..depth * NR];
                for (row, count) in sums.tiles() {
                    let pointers: [*const f32; MR] =
                        std::array::from_fn(|r| scores[(row + r.min(count - 1)) * padded + key..][..depth].as_ptr());
                    // SAFETY: this task alone writes these rows of this head; `depth` scores a row from `key`.
                    unsafe {
                        let tile = Tile {
                            pointers: &pointers[..count],
                            taps: 1,
                            rows: count,
                            depth,
                            width: NR.min(head_width - panel * NR),
                            out: sums.out.at(sums.at + row * sums.width + panel * NR),
                            stride: sums.width,
                            accumulate: key > 0,
                        };
                        self.kernel.multiply_f32(tile, values.as_ptr());
                    }
                }
            }
        }
    }
}

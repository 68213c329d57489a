//! 3x3 convolutions of stride 1 by minimal filtering (see `kernels/winograd.rs`): a quarter of the multiplications.
//!
//! Invariants: tiles are counted from each image's own corner, and each tile's numbers come from one fixed chain of additions,
//! so neither other rows nor threads show in the result. Weights are kept as every convolution's: a block of a panel is
//! transformed in the cache when its turn comes, which costs a few cycles a weight and no memory.
//!
//! The tiles go in parts whose transformed input stays in the cache. Of each part, first the input is transformed, some tiles a
//! task; then each task makes a panel of outputs of some tiles, a piece of them after the other: for a block of depth after
//! another it transforms the weights (for its first piece; the others find them in the cache) and multiplies, one product of
//! matrices for each of a tile's products, and at last it transforms the products to outputs.

use std::ops::Range;

use crate::conv_shape::ConvShape;
use crate::cpu::buffers::SharedOutput;
use crate::cpu::gemm::PARALLEL_FLOOR;
use crate::cpu::kernels::{
    Ahead, InputTile, Kernel, LINE, MOST_PRODUCTS, MR, NR, OutputTile, PACKED_LINES, TileSize, WeightBlock,
    WeightPointer,
};
use crate::cpu::packing::{Packed, Panels};
use crate::cpu::pixels::Pixels;
use crate::cpu::products::{Arithmetic, GroupTile};
use crate::cpu::scratch::Scratch;
use crate::parallel;

/// Groups of tiles of one piece: their products stay in the L2 cache, beside a block of weights.
const PIECE_GROUPS: usize = 6;
/// Bytes of transformed input of one part, for each thread: its share of the L3 cache.
const PART: usize = 8 << 20;
/// Tasks per thread that are aimed at.
const TASKS_PER_THREAD: usize = 8;
/// Values between the products of a block, so that they do not share lines of the L1 cache.
const PADDING: usize = NR;

/// The tiles that take the least time for an image of `height` x `width` outputs; none if plain sums do, or if the convolution
/// is of another shape. It must not depend on the batch, since a row's result must not.
pub(super) fn fastest(
    shape: ConvShape,
    weights: &Packed,
    in_bf16: bool,
    (height, width): (usize, usize),
) -> Option<TileSize> {
    if !fits(shape) || weights.depth < LINE {
        return None;
    }
    let (depth, outputs) = (weights.depth, weights.width.next_multiple_of(NR));
    // Half cycles by register of 16, as measured: products, the transforms of a tile's input and output, and those of weights, of
    // which an image of two has half.
    let (product, weight) = if in_bf16 { (1, 7) } else { (2, 4) };
    let tiled = |size: TileSize, input: usize, output: usize| {
        let tiles = height.div_ceil(size.outputs()) * width.div_ceil(size.outputs());
        tiles * (product * size.products() * depth * outputs + 2 * (input * depth + output * outputs))
            + size.products() * depth * outputs * weight
    };
    // Plain sums of a convolution that may be cut into tiles are in f32 either way.
    let plain = 2 * height * width * 9 * depth * outputs;
    let (two, four) = (tiled(TileSize::Two, 100, 70), tiled(TileSize::Four, 250, 170));
    if plain <= two.min(four) { None } else { Some(if four <= two { TileSize::Four } else { TileSize::Two }) }
}

/// Whether a convolution can be cut into tiles.
pub(super) fn fits(shape: ConvShape) -> bool {
    shape.kernel == 3 && shape.stride == 1
}

/// Room for so many values, in numbers of f32.
fn numbers_of<A: Arithmetic>(values: usize) -> usize {
    (values * size_of::<A::Value>()).div_ceil(size_of::<f32>())
}

/// A convolution of one call.
pub(super) struct Filtering<'a> {
    pub(super) kernel: &'static dyn Kernel,
    pub(super) size: TileSize,
    pub(super) weights: &'a Packed,
    pub(super) bias: Option<&'a [f32]>,
    /// As the output.
    pub(super) residual: Option<&'a [f32]>,
    pub(super) image: Pixels<'a>,
}

/// How the tiles of one part are laid out and dealt out.
struct Part {
    /// The first tile, and how many there are.
    first: usize,
    tiles: usize,
    /// Tiles that are multiplied together.
    group: usize,
    /// Products of a tile.
    products: usize,
    /// Lines of a pixel's channels, and values of a line.
    lines: usize,
    line: usize,
}

impl Part {
    fn groups(&self) -> usize {
        self.tiles.div_ceil(self.group)
    }

    /// Tiles of a group.
    fn rows(&self, group: usize) -> usize {
        self.group.min(self.tiles - group * self.group)
    }

    /// Values between the lines of a product of a group.
    fn line_stride(&self) -> usize {
        self.group * self.line
    }

    /// Values between the products of a group: one line more than they have, so that the same row of all products does not fall on
    /// the same few lines of the L1 cache.
    fn product_stride(&self) -> usize {
        self.lines * self.line_stride() + self.line
    }

    /// Values of a group.
    fn group_len(&self) -> usize {
        self.products * self.product_stride()
    }
}

impl Filtering<'_> {
    /// Compute it for `batch` images.
    pub(super) fn run<A: Arithmetic>(&self, arithmetic: &A, batch: usize, out: &mut [f32]) {
        let (image, width) = (&self.image, self.weights.width);
        assert!(fits(image.shape), "a 3x3 convolution of stride 1");
        assert_eq!(out.len(), batch * image.out_height * image.out_width * width, "output size");
        assert!(self.residual.is_none_or(|residual| residual.len() == out.len()), "residual size");
        assert!(image.channels == self.weights.depth && image.zeros.len() == image.channels, "depth of the pixels");
        let tiles = batch * self.tiles_down() * self.tiles_across();
        let each = self.lines::<A>() * A::LINE * self.size.products();
        let work = tiles * each * width;
        let threads = if work < PARALLEL_FLOOR { 1 } else { parallel::threads() };
        // Parts of about the same size, in whole groups.
        let most = (threads * PART / (each * size_of::<A::Value>())).max(PIECE_GROUPS * MR);
        let parts = tiles.div_ceil(most);
        let at_once = tiles.div_ceil(parts.max(1)).next_multiple_of(if parts > 1 { MR } else { 1 });
        let out = SharedOutput::new(out);
        for first in (0..tiles).step_by(at_once.max(1)) {
            let tiles = at_once.min(tiles - first);
            let group = tiles.div_ceil(tiles.div_ceil(MR));
            let part =
                Part { first, tiles, group, products: self.size.products(), lines: self.lines::<A>(), line: A::LINE };
            Scratch::Shared.with(numbers_of::<A>(part.groups() * part.group_len()), |input| {
                self.transform_input(arithmetic, &part, SharedOutput::new(input), threads);
                self.multiply(arithmetic, &part, input, out, threads);
            });
        }
    }

    fn tiles_down(&self) -> usize {
        self.image.out_height.div_ceil(self.size.outputs())
    }

    fn tiles_across(&self) -> usize {
        self.image.out_width.div_ceil(self.size.outputs())
    }

    /// Lines of a pixel's channels.
    fn lines<A: Arithmetic>(&self) -> usize {
        self.image.channels.div_ceil(A::LINE)
    }

    /// The sample of a tile, and its first output's coordinates.
    fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (row, x) = (tile / self.tiles_across(), tile % self.tiles_across());
        let (sample, y) = (row / self.tiles_down(), row % self.tiles_down());
        (sample, y * self.size.outputs(), x * self.size.outputs())
    }

    /// The input of all tiles of a part: `[group][product][line][row][LINE]`, with a line between products.
    fn transform_input<A: Arithmetic>(&self, arithmetic: &A, part: &Part, out: SharedOutput<'_>, threads: usize) {
        let products = part.products;
        let side = self.size.inputs();
        let one = |tile: usize| {
            let (sample, y, x) = self.place(part.first + tile);
            let mut pixels = [std::ptr::null(); MOST_PRODUCTS];
            for (i, pixel) in pixels.iter_mut().enumerate().take(products) {
                let pad = self.image.shape.pad_before;
                *pixel = self.image.at(sample, (y + i / side).wrapping_sub(pad), (x + i % side).wrapping_sub(pad));
            }
            // SAFETY: each pixel has all channels; `out` has the part's groups, of which this task alone writes this tile's row.
            unsafe {
                let at = tile / part.group * part.group_len() + tile % part.group * A::LINE;
                arithmetic.transform_input(InputTile {
                    size: self.size,
                    pixels: &pixels,
                    channels: self.image.channels,
                    out: out.at(0).cast::<A::Value>().add(at),
                    product_stride: part.product_stride(),
                    line_stride: part.line_stride(),
                });
            }
        };
        if threads == 1 {
            (0..part.tiles).for_each(one);
        } else {
            let at_once = part.tiles.div_ceil(TASKS_PER_THREAD * threads).max(1);
            parallel::for_each_task(part.tiles.div_ceil(at_once), |task| {
                (task * at_once..((task + 1) * at_once).min(part.tiles)).for_each(one);
            });
        }
    }

    /// The outputs of a part.
    fn multiply<A: Arithmetic>(
        &self,
        arithmetic: &A,
        part: &Part,
        input: &[f32],
        out: SharedOutput<'_>,
        threads: usize,
    ) {
        let panels = self.weights.count();
        let wanted = if threads == 1 { 1 } else { (TASKS_PER_THREAD * threads).div_ceil(panels) };
        let groups = part.groups().div_ceil(wanted);
        let rows = part.groups().div_ceil(groups);
        let task = |index: usize| {
            let (row, panel) = (index / panels, index % panels);
            let last = ((row + 1) * groups).min(part.groups());
            self.panel(arithmetic, part, (row * groups..last, panel), input, out);
        };
        if threads == 1 {
            (0..rows * panels).for_each(task);
        } else {
            parallel::for_each_task(rows * panels, task);
        }
    }

    /// One panel of the outputs of some groups, in pieces of about the same size.
    fn panel<A: Arithmetic>(
        &self,
        arithmetic: &A,
        part: &Part,
        (groups, panel): (Range<usize>, usize),
        input: &[f32],
        out: SharedOutput<'_>,
    ) {
        let (products, lines) = (part.products, part.lines);
        let pieces = groups.len().div_ceil(PIECE_GROUPS);
        let at_once = groups.len().div_ceil(pieces);
        // An odd number of panel rows, so that products do not share lines of the L1 cache.
        let stride = ((at_once * part.group) | 1) * NR;
        // Further pieces find all weights as the first one left them; if there is none, they are made and used block by block.
        let kept = pieces > 1;
        let at_a_time = if kept { lines.div_ceil(lines.div_ceil(A::MOST_LINES)) } else { PACKED_LINES };
        let weights_len = if kept { lines } else { PACKED_LINES } * A::LINE * NR + PADDING;
        let weight_numbers = numbers_of::<A>(products * weights_len);
        Scratch::Task.with(weight_numbers + products * stride, |scratch| {
            let (weights, sums) = scratch.split_at_mut(weight_numbers);
            let weights = weights.as_mut_ptr().cast::<A::Value>();
            for start in groups.clone().step_by(at_once) {
                let piece = start..(start + at_once).min(groups.end);
                for first in (0..lines).step_by(at_a_time) {
                    let count = at_a_time.min(lines - first);
                    let block = weights.wrapping_add(if kept { first * A::LINE * NR } else { 0 });
                    if start == groups.start {
                        let depth = (first * A::LINE, count * A::LINE);
                        self.transform_weights(arithmetic, panel, depth, (block, weights_len));
                    }
                    for product in 0..products {
                        for (index, group) in piece.clone().enumerate() {
                            let values =
                                group * part.group_len() + product * part.product_stride() + first * part.line_stride();
                            let end = values + count * part.line_stride();
                            assert!(numbers_of::<A>(end) <= input.len(), "input of all tiles");
                            let tile = GroupTile {
                                values: input.as_ptr().cast::<A::Value>().wrapping_add(values),
                                line_stride: part.line_stride(),
                                lines: count,
                                rows: part.rows(group),
                                panel: block.wrapping_add(product * weights_len).cast_const(),
                                out: sums[product * stride + index * part.group * NR..][..part.rows(group) * NR]
                                    .as_mut_ptr(),
                                accumulate: first > 0,
                                ahead: Ahead {
                                    values: input.as_ptr().cast::<A::Value>().wrapping_add(values + part.group_len()),
                                    panel: block.wrapping_add((product + 1) * weights_len).cast_const(),
                                },
                            };
                            // SAFETY: input, block and sums have what the tile says.
                            unsafe { arithmetic.multiply(tile) };
                        }
                    }
                }
                self.transform_output(part, piece, panel, (sums, stride), out);
            }
        });
    }

    /// `depth` lines of a panel's weights from `start`, which after the last are zeros: `[product][depth][NR]`, the products
    /// `stride` apart, which are at least as many.
    fn transform_weights<A: Arithmetic>(
        &self,
        arithmetic: &A,
        panel: usize,
        (start, depth): (usize, usize),
        (out, stride): (*mut A::Value, usize),
    ) {
        let all = self.weights.depth;
        let at = (panel * 9 * all + start) * NR;
        let there = depth.min(all - start);
        let weights = match &self.weights.panels {
            Panels::F32(panels) => WeightPointer::F32(panels[at..].as_ptr()),
            Panels::F16(panels) => WeightPointer::F16(panels[at..].as_ptr()),
            Panels::Bf16(panels) => WeightPointer::Bf16(panels[at..].as_ptr()),
            Panels::Pairs(..) => unreachable!("weights of convolutions in tiles are kept one by one"),
        };
        // SAFETY: a panel has nine taps of `all` lines, of which `there` follow `start`; `out` has a block of depth a product,
        // and any bits of zero are the number zero.
        unsafe {
            if there < depth {
                for product in 0..self.size.products() {
                    out.add(product * stride).write_bytes(0, depth * NR);
                }
            }
            arithmetic.transform_weights(WeightBlock {
                size: self.size,
                weights,
                tap_stride: all * NR,
                depth: there,
                out,
                product_stride: stride,
            });
        }
    }

    /// The outputs of one panel of some groups, from the `products` of their tiles, `stride` apart.
    fn transform_output(
        &self,
        part: &Part,
        groups: Range<usize>,
        panel: usize,
        (products, stride): (&[f32], usize),
        out: SharedOutput<'_>,
    ) {
        let (image, width) = (&self.image, self.weights.width);
        let columns = panel * NR..((panel + 1) * NR).min(width);
        let mut bias = [0.0; NR];
        if let Some(values) = self.bias {
            bias[..columns.len()].copy_from_slice(&values[columns.clone()]);
        }
        assert!(products.len() >= self.size.products() * stride, "products of all tiles");
        let first = groups.start * part.group;
        for tile in first..(groups.end * part.group).min(part.tiles) {
            let (sample, y, x) = self.place(part.first + tile);
            let at = ((sample * image.out_height + y) * image.out_width + x) * width + columns.start;
            // SAFETY: this task alone writes these columns of this tile, whose pixels are cut to the image; residual and output
            // have the same size; `products` has a row a tile of every product.
            unsafe {
                self.kernel.transform_output(OutputTile {
                    size: self.size,
                    products: products[(tile - first) * NR..].as_ptr(),
                    product_stride: stride,
                    bias: &bias,
                    out: out.at(at),
                    residual: self.residual.map_or(std::ptr::null(), |residual| residual[at..].as_ptr()),
                    row_stride: image.out_width * width,
                    pixel_stride: width,
                    rows: self.size.outputs().min(image.out_height - y),
                    columns: self.size.outputs().min(image.out_width - x),
                    width: columns.len(),
                });
            }
        }
    }
}

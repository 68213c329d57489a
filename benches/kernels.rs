//! Products, convolutions and attention, with the kernels of every instruction set that the machine has and with candle's
//! operations. Items are multiply-adds.
//!
//!     cargo bench --bench kernels                 # all
//!     cargo bench --bench kernels -- conv2d       # what has a name like that

use std::collections::HashMap;
use std::fmt;

use candle_core::{DType, Device, Tensor};
use divan::Bencher;
use divan::counter::ItemsCount;
use kandinsky::domain::{BackendChoice, InstructionSet, VariantArray as _};
use kandinsky::tensor::files::Folder;
use kandinsky::tensor::weights::Weights;
use kandinsky::tensor::{Attention, Compute, Conv2d, ConvShape, Linear, WeightPrecision, has_instructions};

fn main() {
    divan::main();
}

/// What a case is computed with.
#[derive(Clone, Copy)]
struct Way(BackendChoice);

impl Way {
    fn all() -> Vec<Self> {
        let sets = InstructionSet::VARIANTS.iter().filter(|set| has_instructions(**set));
        sets.map(|set| Self(BackendChoice::Kernels(*set))).chain([Self(BackendChoice::Candle)]).collect()
    }

    fn compute(self) -> Compute {
        match self.0 {
            BackendChoice::Auto => Compute::cpu(),
            BackendChoice::Candle => Compute::candle(Device::Cpu, DType::F32).expect("candle has a CPU device"),
            BackendChoice::Kernels(set) => {
                Compute::on_cpu_with(WeightPrecision::AsStored, set).expect("the machine has the instructions")
            }
        }
    }
}

/// A way and sizes, as the bench is called in the table.
struct Case<S> {
    way: Way,
    sizes: S,
}

impl<S: fmt::Display> fmt::Display for Case<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sizes, self.way.0)
    }
}

/// Every size in every way.
fn cases<S: Clone>(sizes: &[S]) -> Vec<Case<S>> {
    sizes.iter().flat_map(|sizes| Way::all().into_iter().map(|way| Case { way, sizes: sizes.clone() })).collect()
}

fn numbers(shape: &[usize]) -> Tensor {
    Tensor::randn(0.0_f32, 1.0, shape, &Device::Cpu).expect("a tensor")
}

/// `weight` of the given shape, in `dtype`, and `bias`.
fn weights(shape: &[usize], dtype: DType) -> (tempfile::TempDir, Weights) {
    let folder = tempfile::tempdir().expect("a folder");
    let tensors = [("weight", shape), ("bias", &shape[..1])]
        .map(|(name, shape)| (name, numbers(shape).to_dtype(dtype).expect("a dtype of weights")));
    candle_core::safetensors::save(&HashMap::from(tensors), folder.path().join("model.safetensors")).expect("a file");
    let weights = Weights::open(&Folder::Disk(folder.path().to_owned()), "model").expect("a checkpoint");
    (folder, weights)
}

#[derive(Clone)]
struct LinearSizes {
    rows: usize,
    inputs: usize,
    outputs: usize,
    dtype: DType,
}

impl fmt::Display for LinearSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{} {}", self.rows, self.inputs, self.outputs, self.dtype.as_str())
    }
}

fn linear_cases() -> Vec<Case<LinearSizes>> {
    let sizes = |rows, inputs, outputs| {
        [DType::F32, DType::F16, DType::BF16].map(|dtype| LinearSizes { rows, inputs, outputs, dtype })
    };
    // A text of kandinsky-mini, and a step of the prior of Kandinsky 2.1.
    cases(&[sizes(77, 192, 768), sizes(162, 2048, 2048)].concat())
}

#[divan::bench(args = linear_cases(), sample_count = 10)]
fn linear(bencher: Bencher<'_, '_>, case: &Case<LinearSizes>) {
    let (compute, sizes) = (case.way.compute(), &case.sizes);
    let (_folder, weights) = weights(&[sizes.outputs, sizes.inputs], sizes.dtype);
    let layer = Linear::load(&weights.vars(&compute), sizes.inputs, sizes.outputs).expect("a layer");
    let x = numbers(&[sizes.rows, sizes.inputs]);
    bencher
        .counter(ItemsCount::new(sizes.rows * sizes.inputs * sizes.outputs))
        .bench_local(|| layer.forward(&x).expect("a product"));
}

#[derive(Clone)]
struct ConvSizes {
    side: usize,
    inputs: usize,
    outputs: usize,
}

impl fmt::Display for ConvSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{0}x{0}x{1}x{2}", self.side, self.inputs, self.outputs)
    }
}

fn conv_cases() -> Vec<Case<ConvSizes>> {
    cases(&[ConvSizes { side: 16, inputs: 192, outputs: 192 }, ConvSizes { side: 64, inputs: 384, outputs: 384 }])
}

/// 3x3, same size, weights in f16.
#[divan::bench(args = conv_cases(), sample_count = 10)]
fn conv2d(bencher: Bencher<'_, '_>, case: &Case<ConvSizes>) {
    let (compute, sizes) = (case.way.compute(), &case.sizes);
    let (_folder, weights) = weights(&[sizes.outputs, sizes.inputs, 3, 3], DType::F16);
    let vars = weights.vars(&compute);
    let layer = Conv2d::load(&vars, sizes.inputs, sizes.outputs, ConvShape::SAME_3X3).expect("a layer");
    let x = numbers(&[1, sizes.side, sizes.side, sizes.inputs]);
    bencher
        .counter(ItemsCount::new(sizes.side * sizes.side * 9 * sizes.inputs * sizes.outputs))
        .bench_local(|| layer.forward(&x).expect("a convolution"));
}

#[derive(Clone)]
struct AttentionSizes {
    queries: usize,
    keys: usize,
    heads: usize,
    head_width: usize,
}

impl fmt::Display for AttentionSizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} {}x{}", self.queries, self.keys, self.heads, self.head_width)
    }
}

fn attention_cases() -> Vec<Case<AttentionSizes>> {
    cases(&[
        AttentionSizes { queries: 64, keys: 151, heads: 6, head_width: 32 },
        AttentionSizes { queries: 1024, keys: 1111, heads: 12, head_width: 64 },
        // MoVQ's single head.
        AttentionSizes { queries: 1024, keys: 1024, heads: 1, head_width: 512 },
    ])
}

#[divan::bench(args = attention_cases(), sample_count = 10)]
fn attention(bencher: Bencher<'_, '_>, case: &Case<AttentionSizes>) {
    let (compute, sizes) = (case.way.compute(), &case.sizes);
    let width = sizes.heads * sizes.head_width;
    let (query, key, value) =
        (numbers(&[1, sizes.queries, width]), numbers(&[1, sizes.keys, width]), numbers(&[1, sizes.keys, width]));
    let inputs = Attention { query: &query, key: &key, value: &value, context: &[], heads: sizes.heads, bias: None };
    bencher
        .counter(ItemsCount::new(2 * sizes.queries * sizes.keys * width))
        .bench_local(|| compute.attention(&inputs).expect("attention"));
}

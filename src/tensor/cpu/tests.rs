//! The layers of this folder against plain loops, with every instruction set that the machine has. Small enough for Miri,
//! which cannot map files: the comparison with candle's operations is `tests/integration/kernels.rs`.

use std::borrow::Cow;

use candle_core::{Device, Tensor};
use safetensors::tensor::Dtype;
use strum::VariantArray as _;

use super::{CpuBackend, CpuOptions};
use crate::activation::Activation;
use crate::attention::Attention;
use crate::backend::{AfterLinear, AfterNorm, Backend as _};
use crate::conv_shape::ConvShape;
use crate::instructions::InstructionSet;
use crate::stored::StoredTensor;
use crate::values::to_vec;

fn backends() -> impl Iterator<Item = CpuBackend> {
    InstructionSet::VARIANTS.iter().filter_map(|set| CpuBackend::new(CpuOptions::default(), Some(*set)).ok())
}

/// Numbers between -1 and 1 from a linear congruential generator (Knuth's MMIX).
#[expect(clippy::cast_precision_loss, reason = "24 bits")]
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn stored(values: &[f32], shape: &[usize]) -> StoredTensor<'static> {
    let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    StoredTensor::new(Dtype::F32, Cow::Owned(bytes), shape).expect("f32 is a dtype of weights")
}

fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).expect("the shape fits")
}

fn assert_near(got: &Tensor, want: &[f64], what: &str) {
    let got = to_vec(got).expect("a CPU tensor");
    assert_eq!(got.len(), want.len(), "{what}");
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        // Sums of up to 801 products are below 40.
        assert!((f64::from(*got) - want).abs() < 1e-3, "{what}: value {at} is {got}, not {want}");
    }
}

#[test]
fn products_equal_plain_sums() {
    // Past one panel, one tile, and, without Miri, one block of depth.
    let sizes = if cfg!(miri) { vec![(13, 3, 33)] } else { vec![(1, 1, 1), (13, 3, 33), (37, 801, 70)] };
    for (rows, inputs, outputs) in sizes {
        let (x, weight) = (numbers(rows * inputs, 1), numbers(outputs * inputs, 2));
        let (bias, residual) = (numbers(outputs, 3), numbers(rows * outputs, 4));
        let (mut increased, mut activated) = (Vec::new(), Vec::new());
        for row in 0..rows {
            for output in 0..outputs {
                let products =
                    (0..inputs).map(|k| f64::from(x[row * inputs + k]) * f64::from(weight[output * inputs + k]));
                let sum = products.sum::<f64>() + f64::from(bias[output]);
                increased.push(sum + f64::from(residual[row * outputs + output]));
                activated.push(sum.max(0.0));
            }
        }
        for backend in backends() {
            let (weight, bias) = (stored(&weight, &[outputs, inputs]), stored(&bias, &[outputs]));
            let layer = backend.linear(&weight, Some(&bias)).expect("a layer");
            let (x, residual) = (tensor(&x, &[rows, inputs]), tensor(&residual, &[rows, outputs]));
            let what = format!("{}, {rows} x {inputs} x {outputs}", backend.name());
            assert_near(&layer.forward(&x, AfterLinear::Add(&residual)).expect("a product"), &increased, &what);
            let relu = AfterLinear::Activate(Activation::Relu);
            assert_near(&layer.forward(&x, relu).expect("a product"), &activated, &what);
        }
    }
}

#[test]
fn convolutions_equal_plain_sums() {
    let (height, width, inputs, outputs) = if cfg!(miri) { (2, 3, 1, 3) } else { (4, 5, 3, 34) };
    for (shape, enlarged) in [(ConvShape::SAME_3X3, false), (ConvShape::SAME_3X3, true), (ConvShape::HALVE_3X3, false)]
    {
        let (x, weight) = (numbers(2 * height * width * inputs, 1), numbers(outputs * inputs * 9, 2));
        let factor = if enlarged { 2 } else { 1 };
        let (rows, columns) = (shape.output(height * factor).unwrap_or(0), shape.output(width * factor).unwrap_or(0));
        let pixel = |sample: usize, y: usize, x_at: usize, channel: usize| {
            let inside = |at: usize, side: usize| at.checked_sub(shape.pad_before).filter(|at| *at < side * factor);
            match (inside(y, height), inside(x_at, width)) {
                (Some(y), Some(at)) => {
                    f64::from(x[((sample * height + y / factor) * width + at / factor) * inputs + channel])
                }
                _ => 0.0,
            }
        };
        let mut want = Vec::new();
        for at in 0..2 * rows * columns * outputs {
            let (output, at) = (at % outputs, at / outputs);
            let (column, row, sample) = (at % columns, at / columns % rows, at / columns / rows);
            let taps = (0..9 * inputs).map(|i| {
                let (tap, channel) = (i / inputs, i % inputs);
                let (y, x_at) = (row * shape.stride + tap / 3, column * shape.stride + tap % 3);
                pixel(sample, y, x_at, channel) * f64::from(weight[(output * inputs + channel) * 9 + tap])
            });
            want.push(taps.sum());
        }
        for backend in backends() {
            let weight = stored(&weight, &[outputs, inputs, 3, 3]);
            let layer = backend.conv2d(&weight, None, shape).expect("a layer");
            let x = tensor(&x, &[2, height, width, inputs]);
            let got = layer.forward(&x, enlarged, None).expect("a convolution");
            assert_near(&got, &want, &format!("{}, {shape:?}", backend.name()));
        }
    }
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn attention_equals_plain_sums() {
    let (queries, keys, heads, head_width) = (if cfg!(miri) { 2 } else { 26 }, 35, 2, 3);
    let width = heads * head_width;
    let [query, key, value] = [(queries, 1), (keys, 2), (keys, 3)].map(|(tokens, seed)| numbers(tokens * width, seed));
    let mut want = vec![0.0; queries * width];
    for q in 0..queries {
        for head in 0..heads {
            let at = |token: usize, d: usize| token * width + head * head_width + d;
            let dot =
                |k: usize| (0..head_width).map(|d| f64::from(query[at(q, d)]) * f64::from(key[at(k, d)])).sum::<f64>();
            let scores: Vec<f64> = (0..keys).map(|k| (dot(k) / (head_width as f64).sqrt()).exp()).collect();
            let sum: f64 = scores.iter().sum();
            for d in 0..head_width {
                want[at(q, d)] = (0..keys).map(|k| scores[k] / sum * f64::from(value[at(k, d)])).sum();
            }
        }
    }
    let shape = |tokens| [1, tokens, width];
    let (query, key, value) =
        (tensor(&query, &shape(queries)), tensor(&key, &shape(keys)), tensor(&value, &shape(keys)));
    for backend in backends() {
        let inputs = Attention { query: &query, key: &key, value: &value, context: &[], heads, bias: None };
        assert_near(&backend.attention(&inputs).expect("attention"), &want, &backend.name());
    }
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn group_norms_equal_plain_sums() {
    let (pixels, channels, groups) = (6, 4, 2);
    let (x, weight, bias) = (numbers(pixels * channels, 1), numbers(channels, 2), numbers(channels, 3));
    let size = channels / groups;
    let group = |c: usize| (0..pixels).flat_map(move |p| (0..size).map(move |i| p * channels + c / size * size + i));
    let count = (pixels * size) as f64;
    let mean = |c: usize| group(c).map(|at| f64::from(x[at])).sum::<f64>() / count;
    let variance = |c: usize| group(c).map(|at| (f64::from(x[at]) - mean(c)).powi(2)).sum::<f64>() / count;
    let want: Vec<f64> = (0..pixels * channels)
        .map(|at| {
            let c = at % channels;
            (f64::from(x[at]) - mean(c)) / (variance(c) + 1e-5).sqrt() * f64::from(weight[c]) + f64::from(bias[c])
        })
        .collect();
    for backend in backends() {
        let (weight, bias) = (stored(&weight, &[channels]), stored(&bias, &[channels]));
        let layer = backend.group_norm(&weight, &bias, groups, 1e-5).expect("a layer");
        let got = layer.forward(&tensor(&x, &[1, pixels, channels]), AfterNorm::Nothing).expect("a norm");
        assert_near(&got, &want, &backend.name());
    }
}

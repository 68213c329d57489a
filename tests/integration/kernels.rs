//! The CPU kernels against the same layers in plain candle operations, in every precision of weights, at sizes that are no
//! multiples of anything; and that a row's result does not depend on its neighbours, bit by bit.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use kandinsky::diffusion::random::Generator;
use kandinsky::families::kandinsky21::clip_text::ClipText;
use kandinsky::tensor::files::Folder;
use kandinsky::tensor::weights::Weights;
use kandinsky::tensor::{self, Attention, Compute, Conv2d, ConvShape, GroupNorm, LayerNorm, Linear, reference};

use crate::embedded::root;

fn random(shape: &[usize], seed: u64) -> Tensor {
    let count = shape.iter().product();
    Tensor::from_vec(Generator::new(seed).normal(count), shape, &Device::Cpu).unwrap()
}

/// Write tensors to a weights file and open it.
fn weights(tensors: &[(&str, Tensor)], dtype: DType) -> (tempfile::TempDir, Weights) {
    let folder = tempfile::tempdir().unwrap();
    let map: HashMap<&str, Tensor> =
        tensors.iter().map(|(name, tensor)| (*name, tensor.to_dtype(dtype).unwrap())).collect();
    candle_core::safetensors::save(&map, folder.path().join("model.safetensors")).unwrap();
    let weights = Weights::open(&Folder::Disk(folder.path().to_owned()), "model").unwrap();
    (folder, weights)
}

/// What storing in `dtype` leaves of a tensor.
fn rounded(tensor: &Tensor, dtype: DType) -> Tensor {
    tensor.to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap()
}

fn assert_close(got: &Tensor, want: &Tensor, what: &str) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    let (got, want) = (tensor::to_vec(got).unwrap(), tensor::to_vec(want).unwrap());
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let error = norm(&mut got.iter().zip(&want).map(|(a, b)| a - b)) / norm(&mut want.iter().copied());
    assert!(error < 2e-6, "{what}: relative error {error:.1e}");
}

const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

#[test]
fn linear_layers_equal_plain_operations() {
    let compute = Compute::cpu();
    for (inputs, outputs, rows) in [(1, 1, 1), (5, 33, 3), (770, 64, 13), (96, 257, 301), (1600, 31, 29)] {
        for dtype in DTYPES {
            let (weight, bias) = (random(&[outputs, inputs], 1), random(&[outputs], 2));
            let (_folder, weights) = weights(&[("weight", weight.clone()), ("bias", bias.clone())], dtype);
            let layer = Linear::load(&weights.vars(&compute), inputs, outputs).unwrap();
            let (x, residual) = (random(&[rows, inputs], 3), random(&[rows, outputs], 4));
            let want = reference::linear(&x, &rounded(&weight, dtype), Some(&rounded(&bias, dtype))).unwrap();
            let what = format!("{inputs} x {outputs}, {rows} rows, {dtype:?}");
            assert_close(&layer.forward(&x).unwrap(), &want, &what);
            assert_close(&layer.forward_add(&x, &residual).unwrap(), &(want + residual).unwrap(), &what);
        }
    }
}

#[test]
fn convolutions_equal_plain_operations() {
    let compute = Compute::cpu();
    let shapes = [ConvShape::SAME_3X3, ConvShape::POINTWISE, ConvShape::HALVE_3X3, ConvShape::patches(4)];
    for shape in shapes {
        for (inputs, outputs) in [(3, 40), (100, 7)] {
            let kernel = shape.kernel;
            let (weight, bias) = (random(&[outputs, inputs, kernel, kernel], 1), random(&[outputs], 2));
            let (_folder, weights) = weights(&[("weight", weight.clone()), ("bias", bias.clone())], DType::F16);
            let layer = Conv2d::load(&weights.vars(&compute), inputs, outputs, shape).unwrap();
            let x = random(&[2, 12, 20, inputs], 3);
            let (weight, bias) = (rounded(&weight, DType::F16), rounded(&bias, DType::F16));
            let what = format!("{shape:?}, {inputs} to {outputs}");
            let want = reference::conv2d(&x, &weight, Some(&bias), shape).unwrap();
            assert_close(&layer.forward(&x).unwrap(), &want, &what);
            let large = tensor::upsample_nearest(&x, 24, 40).unwrap();
            let want = reference::conv2d(&large, &weight, Some(&bias), shape).unwrap();
            assert_close(&layer.forward_upsampled(&x).unwrap(), &want, &what);
        }
    }
}

#[test]
fn norms_equal_plain_operations() {
    let compute = Compute::cpu();
    let (weight, bias) = (random(&[96], 1), random(&[96], 2));
    let (_folder, weights) = weights(&[("weight", weight.clone()), ("bias", bias.clone())], DType::F32);
    let x = ((random(&[2, 30, 34, 96], 3) * 3.0).unwrap() + 5.0).unwrap();
    let scale_shift = random(&[2, 192], 4);
    let layer = GroupNorm::load(&weights.vars(&compute), 32, 96, 1e-5).unwrap();
    let want = reference::group_norm(&x, &weight, &bias, 32, 1e-5).unwrap();
    assert_close(&layer.forward(&x).unwrap(), &want, "group norm");
    assert_close(&layer.forward_silu(&x).unwrap(), &want.silu().unwrap(), "group norm and SiLU");
    let modulated = reference::scale_shift_silu(&want, &scale_shift).unwrap();
    assert_close(&layer.forward_scale_shift_silu(&x, &scale_shift).unwrap(), &modulated, "modulated group norm");
    let layer = LayerNorm::load(&weights.vars(&compute), 96, 1e-5).unwrap();
    let want = reference::layer_norm(&x, &weight, &bias, 1e-5).unwrap();
    assert_close(&layer.forward(&x).unwrap(), &want, "layer norm");
}

#[test]
fn attention_equals_plain_operations() {
    let (batch, queries, heads, width) = (2, 37, 3, 60);
    let [query, key, value] = [1, 2, 3].map(|seed| random(&[batch, queries, width], seed));
    let contexts: Vec<(Tensor, Tensor)> =
        (0..2).map(|i| (random(&[11, width], 10 + i), random(&[11, width], 20 + i))).collect();
    let context: Vec<(&Tensor, &Tensor)> = contexts.iter().map(|(k, v)| (k, v)).collect();
    let bias = random(&[batch, 1, queries], 5);
    for (context, bias) in [(&context[..], None), (&[][..], Some(&bias)), (&[][..], None)] {
        let inputs = Attention { query: &query, key: &key, value: &value, context, heads, bias };
        assert_close(&tensor::attention(&inputs).unwrap(), &reference::attention(&inputs).unwrap(), "attention");
    }
}

#[test]
fn attention_is_the_same_whatever_queries_are_asked_together() {
    let (queries, width) = (331, 40);
    let [query, key, value] = [1, 2, 3].map(|seed| random(&[2, queries, width], seed));
    let attend = |query: &Tensor| {
        let inputs = Attention { query, key: &key, value: &value, context: &[], heads: 1, bias: None };
        tensor::attention(&inputs).unwrap()
    };
    let together = tensor::to_vec(&attend(&query)).unwrap();
    for cuts in [vec![0, 1, 25, 331], vec![0, 24, 330, 331], vec![0, 100, 200, 331]] {
        let parts = cuts.windows(2).map(|cut| attend(&query.narrow(1, cut[0], cut[1] - cut[0]).unwrap()));
        let parts: Vec<Tensor> = parts.collect();
        assert!(tensor::to_vec(&Tensor::cat(&parts, 1).unwrap()).unwrap() == together, "{cuts:?}");
    }
}

#[test]
fn a_row_is_the_same_alone_and_in_any_batch() {
    let compute = Compute::cpu();
    let weight = random(&[70, 900], 1);
    let (_folder, weights) = weights(&[("weight", weight)], DType::F16);
    let layer = Linear::load_no_bias(&weights.vars(&compute), 900, 70).unwrap();
    let x = random(&[317, 900], 2);
    let together = tensor::to_vec(&layer.forward(&x).unwrap()).unwrap();
    for count in [1, 2, 11, 12, 13, 250] {
        for first in [0, 5, 317 - count] {
            let part = tensor::to_vec(&layer.forward(&x.narrow(0, first, count).unwrap()).unwrap()).unwrap();
            assert!(part == together[first * 70..(first + count) * 70], "rows {first} to {}", first + count);
        }
    }
}

#[test]
fn pytorch_files_are_read_where_there_are_no_safetensors() {
    let from = root().join("tests/parity/a/models/kandinsky-2-1-prior/text_encoder");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(from.join("config.json"), folder.path().join("config.json")).unwrap();
    std::fs::copy(root().join("tests/fixtures/clip_text.bin"), folder.path().join("pytorch_model.bin")).unwrap();
    let load = |path: &std::path::Path| ClipText::load(&Folder::Disk(path.to_owned()), &Compute::cpu()).unwrap();
    let ids: Vec<u32> = (0..77).collect();
    let [got, want] =
        [load(folder.path()), load(&from)].map(|encoder| encoder.forward(std::slice::from_ref(&ids)).unwrap());
    assert_eq!(tensor::to_vec(&got.states).unwrap(), tensor::to_vec(&want.states).unwrap());
}

//! The layers of the CPU backend against the same layers in candle's operations: every instruction set that the machine has,
//! every precision of weights, sizes that are no multiples of anything; and that a row's result does not depend on its
//! neighbours, bit by bit.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use kandinsky_tensor::files::Folder;
use kandinsky_tensor::weights::Weights;
use kandinsky_tensor::{
    self as tensor, Activation, Attention, Compute, Conv2d, ConvShape, Convolutions, CpuOptions, Embedding, GroupNorm,
    InstructionSet, LayerNorm, Linear, Modulation, ProductPrecision, Vars, WeightPrecision,
};
use strum::VariantArray as _;

/// Relative L2 error that rounding in f32 may leave.
const LIMIT: f64 = 2e-6;

const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// Numbers between -2 and 2, the same for the same seed, from a linear congruential generator (Knuth's MMIX).
#[expect(clippy::cast_precision_loss, reason = "24 bits")]
fn random(shape: &[usize], seed: u64) -> Tensor {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 22) as f32 - 2.0
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Random weights in a file of one dtype.
struct Checkpoint {
    weights: Weights,
    _folder: tempfile::TempDir,
}

impl Checkpoint {
    fn new(shapes: &[(&str, &[usize])], dtype: DType) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let map: HashMap<&str, Tensor> = shapes
            .iter()
            .zip(1..)
            .map(|((name, shape), seed)| (*name, random(shape, seed).to_dtype(dtype).unwrap()))
            .collect();
        candle_core::safetensors::save(&map, folder.path().join("model.safetensors")).unwrap();
        let weights = Weights::open(&Folder::Disk(folder.path().to_owned()), "model").unwrap();
        Self { weights, _folder: folder }
    }
}

/// Candle's operations in f32.
fn oracle() -> Compute {
    Compute::candle(Device::Cpu, DType::F32).unwrap()
}

/// The CPU backend with every instruction set that this machine has.
fn backends() -> Vec<Compute> {
    let available = InstructionSet::VARIANTS.iter().filter(|set| tensor::has_instructions(**set));
    available.map(|set| Compute::on_cpu_with(WeightPrecision::AsStored, *set).unwrap()).collect()
}

/// The CPU backend in bf16 with every instruction set that this machine has them with (plain Rust is one), and a way of 3x3
/// convolutions.
fn in_bf16(convolutions: Convolutions) -> Vec<Compute> {
    let available = InstructionSet::VARIANTS.iter().filter(|set| tensor::has_bf16_products(**set));
    let options = CpuOptions { convolutions, precision: ProductPrecision::Bf16, ..CpuOptions::default() };
    available.map(|set| Compute::on_cpu_with(options, *set).unwrap()).collect()
}

fn assert_close(got: &Tensor, want: &Tensor, what: &str) {
    assert_within(LIMIT, got, want, what);
}

fn assert_within(limit: f64, got: &Tensor, want: &Tensor, what: &str) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    let (got, want) = (tensor::to_vec(got).unwrap(), tensor::to_vec(want).unwrap());
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let error = norm(&mut got.iter().zip(&want).map(|(a, b)| a - b)) / norm(&mut want.iter().copied());
    assert!(error < limit, "{what}: relative error {error:.1e}");
}

/// Compare `run` on every CPU backend with the oracle, over the same weights in every dtype.
fn compare(
    what: &str,
    shapes: &[(&str, &[usize])],
    run: impl Fn(&Compute, &Vars<'_>) -> kandinsky_tensor::Result<Vec<Tensor>>,
) {
    for dtype in DTYPES {
        let checkpoint = Checkpoint::new(shapes, dtype);
        let run = |compute: &Compute| run(compute, &checkpoint.weights.vars(compute)).unwrap();
        let want = run(&oracle());
        for backend in backends() {
            for (index, (got, want)) in run(&backend).iter().zip(&want).enumerate() {
                assert_close(got, want, &format!("{what}, {backend:?}, weights in {dtype:?}, output {index}"));
            }
        }
    }
}

#[test]
fn linear_layers_equal_plain_operations() {
    for (inputs, outputs, rows) in [(1, 1, 1), (5, 33, 3), (770, 64, 13), (96, 257, 301), (1600, 31, 29)] {
        let shapes: [(&str, &[usize]); 2] = [("weight", &[outputs, inputs]), ("bias", &[outputs])];
        compare(&format!("{inputs} x {outputs}, {rows} rows"), &shapes, |_, vars| {
            let (layer, plain) = (Linear::load(vars, inputs, outputs)?, Linear::load_no_bias(vars, inputs, outputs)?);
            let (x, residual) = (random(&[rows, inputs], 3), random(&[rows, outputs], 4));
            Ok(vec![layer.forward(&x)?, layer.forward_add(&x, &residual)?, plain.forward(&x)?])
        });
    }
}

#[test]
fn linear_layers_take_views_with_gaps() {
    let shapes: [(&str, &[usize]); 2] = [("weight", &[7, 5]), ("bias", &[7])];
    compare("views", &shapes, |_, vars| {
        let layer = Linear::load(vars, 5, 7)?;
        let wide = random(&[3, 4, 9], 3);
        let turned = random(&[3, 5, 4], 4).transpose(1, 2)?;
        Ok(vec![layer.forward(&wide.narrow(2, 2, 5)?)?, layer.forward(&turned)?])
    });
}

#[test]
fn convolutions_equal_plain_operations() {
    let shapes = [ConvShape::SAME_3X3, ConvShape::POINTWISE, ConvShape::HALVE_3X3, ConvShape::patches(4)];
    for shape in shapes {
        for (inputs, outputs) in [(3, 40), (100, 7)] {
            let kernel = shape.kernel;
            let weights: [(&str, &[usize]); 2] = [("weight", &[outputs, inputs, kernel, kernel]), ("bias", &[outputs])];
            compare(&format!("{shape:?}, {inputs} to {outputs}"), &weights, |_, vars| {
                let layer = Conv2d::load(vars, inputs, outputs, shape)?;
                let x = random(&[2, 12, 20, inputs], 3);
                let y = layer.forward(&x)?;
                let added = layer.forward_add(&x, &random(y.dims(), 4))?;
                let plain = Conv2d::load_no_bias(vars, inputs, outputs, shape)?.forward(&x)?;
                Ok(vec![y, added, plain, layer.forward_upsampled(&x)?])
            });
        }
    }
}

/// The CPU backend with every instruction set that this machine has, and every way of 3x3 convolutions.
fn ways() -> Vec<Compute> {
    let available = InstructionSet::VARIANTS.iter().filter(|set| tensor::has_instructions(**set));
    available
        .flat_map(|set| {
            Convolutions::VARIANTS.iter().map(|way| {
                let options = CpuOptions { convolutions: *way, ..CpuOptions::default() };
                Compute::on_cpu_with(options, *set).unwrap()
            })
        })
        .collect()
}

#[test]
fn convolutions_in_tiles_equal_plain_operations() {
    // Images of a pixel, of less than a tile and of no whole number of tiles; channels of less than a register, a panel and a
    // block of depth, and of more.
    let images = [(1, 1, 1), (1, 1, 6), (3, 5, 2), (1, 8, 8), (2, 9, 13)];
    let channels = [(1, 1), (15, 33), (16, 32), (70, 7), (147, 65)];
    for (dtype, (inputs, outputs)) in DTYPES.into_iter().cycle().zip(channels) {
        let weights: [(&str, &[usize]); 2] = [("weight", &[outputs, inputs, 3, 3]), ("bias", &[outputs])];
        let checkpoint = Checkpoint::new(&weights, dtype);
        let run = |compute: &Compute, x: &Tensor| {
            let vars = checkpoint.weights.vars(compute);
            let layer = Conv2d::load(&vars, inputs, outputs, ConvShape::SAME_3X3).unwrap();
            let plain = Conv2d::load_no_bias(&vars, inputs, outputs, ConvShape::SAME_3X3).unwrap();
            let y = layer.forward(x).unwrap();
            let added = plain.forward_add(x, &random(y.dims(), 4)).unwrap();
            [y, added, layer.forward_upsampled(x).unwrap()]
        };
        for (batch, height, width) in images {
            let x = random(&[batch, height, width, inputs], 3);
            let want = run(&oracle(), &x);
            for way in ways() {
                for (got, want) in run(&way, &x).iter().zip(&want) {
                    assert_close(got, want, &format!("{way:?}, {batch}x{height}x{width}x{inputs} to {outputs}"));
                }
            }
        }
    }
}

#[test]
fn convolutions_are_the_same_alone_in_any_batch_and_on_any_number_of_threads() {
    let bf16 = [Convolutions::Plain, Convolutions::Tiles2, Convolutions::Tiles4].into_iter().flat_map(in_bf16);
    // Plain Rust instead of instructions is slow.
    for (ways, height, outputs) in [(ways(), 10, 200), (bf16.collect(), 3, 33)] {
        convolutions_are_the_same(&ways, height, outputs);
    }
}

fn convolutions_are_the_same(ways: &[Compute], height: usize, outputs: usize) {
    let checkpoint = Checkpoint::new(&[("weight", &[outputs, 130, 3, 3]), ("bias", &[outputs])], DType::F16);
    let x = random(&[7, height, 22, 130], 2);
    for way in ways {
        let layer = Conv2d::load(&checkpoint.weights.vars(way), 130, outputs, ConvShape::SAME_3X3).unwrap();
        let run = |x: &Tensor, threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            tensor::to_vec(&pool.install(|| layer.forward(x).unwrap())).unwrap()
        };
        let together = run(&x, 1);
        assert!(together == run(&x, 3), "{way:?}: three threads");
        for (first, count) in [(0, 1), (3, 2), (6, 1)] {
            let part = run(&x.narrow(0, first, count).unwrap(), 2);
            let each = together.len() / 7;
            assert!(part == together[first * each..(first + count) * each], "{way:?}: {count} from {first}");
        }
    }
}

#[test]
fn layers_in_bf16_are_as_near_to_plain_operations_as_their_rounding() {
    // Of each way the relative error that rounding both factors to 8 bits leaves, with random numbers: 2.4e-3 of plain sums; the
    // transforms of tiles add to it.
    let limits = [(Convolutions::Plain, 4e-3), (Convolutions::Tiles2, 8e-3), (Convolutions::Tiles4, 2.5e-2)];
    let images = [(1, 1, 1), (1, 1, 6), (3, 5, 2), (1, 8, 8), (2, 9, 13)];
    let channels = [(31, 40), (32, 32), (33, 65), (70, 7), (161, 33)];
    for (dtype, (inputs, outputs)) in DTYPES.into_iter().cycle().zip(channels) {
        let weights: [(&str, &[usize]); 2] = [("weight", &[outputs, inputs, 3, 3]), ("bias", &[outputs])];
        let checkpoint = Checkpoint::new(&weights, dtype);
        let run = |compute: &Compute, x: &Tensor, shape: ConvShape| {
            let layer = Conv2d::load(&checkpoint.weights.vars(compute), inputs, outputs, shape).unwrap();
            let y = layer.forward(x).unwrap();
            let added = layer.forward_add(x, &random(y.dims(), 4)).unwrap();
            [y, added, layer.forward_upsampled(x).unwrap()]
        };
        for (batch, height, width) in images {
            let x = random(&[batch, height, width, inputs], 3);
            for shape in [ConvShape::SAME_3X3, ConvShape::HALVE_3X3] {
                if shape.stride == 2 && (height < 2 || width < 2) {
                    continue;
                }
                let want = run(&oracle(), &x, shape);
                for (way, limit) in limits {
                    for compute in in_bf16(way) {
                        let what =
                            format!("{compute:?} {way}, {shape:?}, {batch}x{height}x{width}x{inputs} to {outputs}");
                        for (got, want) in run(&compute, &x, shape).iter().zip(&want) {
                            assert_within(limit, got, want, &what);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn products_and_attention_in_bf16_are_as_near_to_plain_operations_as_their_rounding() {
    for (inputs, outputs, rows) in [(31, 5, 3), (32, 1, 1), (33, 33, 13), (770, 64, 25), (1100, 31, 29)] {
        let checkpoint = Checkpoint::new(&[("weight", &[outputs, inputs]), ("bias", &[outputs])], DType::F16);
        let run = |compute: &Compute| {
            let layer = Linear::load(&checkpoint.weights.vars(compute), inputs, outputs).unwrap();
            layer.forward_add(&random(&[rows, inputs], 3), &random(&[rows, outputs], 4)).unwrap()
        };
        for compute in in_bf16(Convolutions::Fastest) {
            let what = format!("{compute:?}, {rows} x {inputs} x {outputs}");
            assert_within(5e-3, &run(&compute), &run(&oracle()), &what);
        }
    }
    // Scores of random numbers this large choose few keys, so that a rounded score shows.
    for (queries, heads, head_width) in [(1, 1, 32), (37, 3, 40), (70, 2, 65)] {
        let width = heads * head_width;
        let [query, key, value] = [1, 2, 3].map(|seed| random(&[2, queries, width], seed));
        let contexts: Vec<(Tensor, Tensor)> =
            (0..2).map(|i| (random(&[11, width], 10 + i), random(&[11, width], 20 + i))).collect();
        let context: Vec<(&Tensor, &Tensor)> = contexts.iter().map(|(k, v)| (k, v)).collect();
        let bias = random(&[2, 1, queries], 5);
        for (context, bias) in [(&context[..], None), (&[][..], Some(&bias))] {
            let inputs = Attention { query: &query, key: &key, value: &value, context, heads, bias };
            let want = oracle().attention(&inputs).unwrap();
            for compute in in_bf16(Convolutions::Fastest) {
                let what = format!("{compute:?}, {queries} queries of {heads} heads of {head_width}");
                assert_within(2e-2, &compute.attention(&inputs).unwrap(), &want, &what);
            }
        }
    }
}

#[test]
fn bf16_is_refused_where_it_has_no_instructions_unless_plain_rust_is_asked_for() {
    let options = CpuOptions { precision: ProductPrecision::Bf16, ..CpuOptions::default() };
    for &set in InstructionSet::VARIANTS {
        let compute = Compute::on_cpu_with(options, set);
        assert_eq!(compute.is_ok(), tensor::has_bf16_products(set), "{set}");
        if let (Err(error), true) = (compute, tensor::has_instructions(set)) {
            let message = error.to_string();
            assert!(message.contains("bf16") && message.contains("f32"), "{message}");
        }
    }
    assert!(tensor::has_bf16_products(InstructionSet::Portable));
    let by_itself = InstructionSet::VARIANTS.iter().find(|set| tensor::has_instructions(**set)).unwrap();
    let has = tensor::has_bf16_products(*by_itself) && *by_itself != InstructionSet::Portable;
    assert_eq!(Compute::on_cpu(options).is_ok(), has);
}

#[test]
fn norms_equal_plain_operations() {
    compare("norms", &[("weight", &[96]), ("bias", &[96])], |_, vars| {
        let x = ((random(&[2, 30, 34, 96], 3) * 3.0)? + 5.0)?;
        let (scale_shift, tokens) = (random(&[2, 192], 4), random(&[2, 19, 96], 5));
        let (scale, shift) = (random(&[2, 7, 5, 96], 6), random(&[2, 7, 5, 96], 7));
        let group = GroupNorm::load(vars, 32, 96, 1e-5)?;
        Ok(vec![
            group.forward(&x)?,
            group.forward_silu(&x)?,
            group.forward_scale_shift_silu(&x, &scale_shift)?,
            group.forward_scale_shift_silu(&tokens, &scale_shift)?,
            group.forward_modulate(&x, &Modulation { scale: &scale, shift: &shift, then_silu: false })?,
            group.forward_modulate(&x, &Modulation { scale: &scale, shift: &shift, then_silu: true })?,
            LayerNorm::load(vars, 96, 1e-5)?.forward(&x)?,
        ])
    });
}

#[test]
fn embeddings_are_the_stored_rows() {
    compare("embedding", &[("weight", &[11, 5])], |_, vars| {
        Ok(vec![Embedding::load(vars, 11, 5)?.forward(&[vec![0, 10, 3], vec![7, 7, 1]])?])
    });
}

#[test]
fn attention_equals_plain_operations() {
    let (batch, queries, heads, width) = (2, 37, 3, 60);
    compare("attention", &[("weight", &[1])], |compute, _| {
        let [query, key, value] = [1, 2, 3].map(|seed| random(&[batch, queries, width], seed));
        let contexts: Vec<(Tensor, Tensor)> =
            (0..2).map(|i| (random(&[11, width], 10 + i), random(&[11, width], 20 + i))).collect();
        let context: Vec<(&Tensor, &Tensor)> = contexts.iter().map(|(k, v)| (k, v)).collect();
        let (biases, per_query) = (random(&[batch, 1, queries], 5), random(&[1, queries, queries + 11], 6));
        let cases = [(&context[..], None), (&[][..], Some(&biases)), (&[][..], None), (&context[..], Some(&per_query))];
        cases
            .into_iter()
            .map(|(context, bias)| {
                compute.attention(&Attention { query: &query, key: &key, value: &value, context, heads, bias })
            })
            .collect()
    });
}

#[test]
fn operations_without_weights_equal_plain_ones() {
    compare("operations", &[("weight", &[1])], |compute, _| {
        let (x, other) = ((random(&[2, 6, 10, 7], 1) * 3.0)?, random(&[2, 6, 10, 7], 2));
        let (scale, shift) = (random(&[2, 3, 5, 7], 3), random(&[2, 3, 5, 7], 4));
        let modulate = |then_silu| compute.modulate(&x, &Modulation { scale: &scale, shift: &shift, then_silu });
        let mut outputs = vec![
            compute.add(&x, &other)?,
            modulate(false)?,
            modulate(true)?,
            compute.upsample_nearest(&x, 12, 20)?,
            compute.upsample_nearest(&x, 9, 11)?,
            compute.average_pool_2x(&x)?,
            compute.concat_channels(&x, &random(&[2, 6, 10, 3], 5))?,
            compute.concat_channels(&random(&[2, 40, 40, 7], 6), &random(&[2, 40, 40, 9], 7))?,
        ];
        for activation in
            [Activation::Silu, Activation::QuickGelu, Activation::Gelu, Activation::GeluTanh, Activation::Relu]
        {
            outputs.push(compute.activate(&x, activation)?);
        }
        Ok(outputs)
    });
}

#[test]
fn inputs_that_do_not_fit_are_errors_on_every_backend() {
    let checkpoint = Checkpoint::new(&[("weight", &[6, 4]), ("bias", &[6])], DType::F32);
    for compute in backends().into_iter().chain([oracle()]) {
        let layer = Linear::load(&checkpoint.weights.vars(&compute), 4, 6).unwrap();
        assert!(layer.forward(&random(&[2, 5], 1)).is_err());
        assert!(layer.forward_add(&random(&[2, 4], 1), &random(&[3, 6], 2)).is_err());
        assert!(compute.add(&random(&[2, 4], 1), &random(&[4, 2], 2)).is_err());
        assert!(compute.average_pool_2x(&random(&[1, 3, 4, 2], 1)).is_err());
        assert!(compute.concat_channels(&random(&[1, 3, 4], 1), &random(&[1, 4, 3], 2)).is_err());
        let (query, key) = (random(&[2, 3, 8], 1), random(&[2, 5, 8], 2));
        let attend = |value: &Tensor, heads, bias: Option<&Tensor>| {
            compute.attention(&Attention { query: &query, key: &key, value, context: &[], heads, bias })
        };
        assert!(attend(&key, 2, None).is_ok());
        assert!(attend(&query, 2, None).is_err());
        assert!(attend(&key, 3, None).is_err());
        assert!(attend(&key, 2, Some(&random(&[2, 3, 4], 3))).is_err());
    }
}

#[test]
fn weights_are_kept_in_the_precision_that_is_asked_for() {
    let checkpoint = Checkpoint::new(&[("weight", &[33, 70]), ("bias", &[33])], DType::F32);
    let x = random(&[5, 70], 3);
    let forward = |precision| {
        let compute = Compute::on_cpu(precision).unwrap();
        Linear::load(&checkpoint.weights.vars(&compute), 70, 33).unwrap().forward(&x).unwrap()
    };
    for (precision, dtype) in [(WeightPrecision::F16, DType::F16), (WeightPrecision::Bf16, DType::BF16)] {
        let rounded = random(&[33, 70], 1).to_dtype(dtype).unwrap().to_dtype(DType::F32).unwrap();
        let want = x.matmul(&rounded.t().unwrap()).unwrap().broadcast_add(&random(&[33], 2)).unwrap();
        assert_close(&forward(precision), &want, &format!("{precision:?}"));
    }
}

#[test]
fn a_machine_without_the_instructions_refuses_them() {
    for &set in InstructionSet::VARIANTS {
        let compute = Compute::on_cpu_with(WeightPrecision::AsStored, set);
        assert_eq!(compute.is_ok(), tensor::has_instructions(set), "{set}");
        if let Err(error) = compute {
            assert!(error.to_string().contains(&set.to_string()), "{error}");
        }
    }
}

#[test]
fn attention_is_the_same_whatever_queries_are_asked_together() {
    let (queries, width) = (331, 40);
    let [query, key, value] = [1, 2, 3].map(|seed| random(&[2, queries, width], seed));
    for compute in backends().into_iter().chain(in_bf16(Convolutions::Fastest)) {
        let attend = |query: &Tensor| {
            let inputs = Attention { query, key: &key, value: &value, context: &[], heads: 1, bias: None };
            compute.attention(&inputs).unwrap()
        };
        let together = tensor::to_vec(&attend(&query)).unwrap();
        for cuts in [vec![0, 1, 25, 331], vec![0, 24, 330, 331], vec![0, 100, 200, 331]] {
            let parts = cuts.windows(2).map(|cut| attend(&query.narrow(1, cut[0], cut[1] - cut[0]).unwrap()));
            let parts: Vec<Tensor> = parts.collect();
            assert!(tensor::to_vec(&Tensor::cat(&parts, 1).unwrap()).unwrap() == together, "{compute:?} {cuts:?}");
        }
    }
}

#[test]
fn a_row_is_the_same_alone_and_in_any_batch() {
    let checkpoint = Checkpoint::new(&[("weight", &[70, 900])], DType::F16);
    for compute in backends().into_iter().chain(in_bf16(Convolutions::Fastest)) {
        let layer = Linear::load_no_bias(&checkpoint.weights.vars(&compute), 900, 70).unwrap();
        let x = random(&[317, 900], 2);
        let together = tensor::to_vec(&layer.forward(&x).unwrap()).unwrap();
        for count in [1, 2, 11, 12, 13, 250] {
            for first in [0, 5, 317 - count] {
                let part = tensor::to_vec(&layer.forward(&x.narrow(0, first, count).unwrap()).unwrap()).unwrap();
                let same = part == together[first * 70..(first + count) * 70];
                assert!(same, "{compute:?}: rows {first} to {}", first + count);
            }
        }
    }
}

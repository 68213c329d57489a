//! Blocks of activations are asked of the system once: the second pass through layers finds those of the first, and what else it
//! allocates are handles and lists of a few numbers.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{DType, Device, Tensor};
use kandinsky_tensor::files::Folder;
use kandinsky_tensor::weights::Weights;
use kandinsky_tensor::{Attention, Compute, Conv2d, ConvShape, GroupNorm, Linear, Recycling, keep_freed_memory};

/// Blocks from this size on are counted.
const LARGE: usize = 8 << 10;

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
/// All other blocks, and their bytes.
static SMALL: AtomicUsize = AtomicUsize::new(0);
static SMALL_BYTES: AtomicUsize = AtomicUsize::new(0);

fn count(layout: Layout) {
    if layout.size() >= LARGE {
        COUNT.fetch_add(1, Ordering::SeqCst);
    } else {
        SMALL.fetch_add(1, Ordering::SeqCst);
        SMALL_BYTES.fetch_add(layout.size(), Ordering::SeqCst);
    }
}

// SAFETY: it passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: by contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout);
        // SAFETY: by contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: by contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Recycling<Counting> = Recycling::new(Counting);

#[test]
fn a_second_pass_asks_the_system_for_no_activations() {
    keep_freed_memory(64 << 20);
    let shapes: [(&str, &[usize]); 5] = [
        ("conv.weight", &[64, 64, 3, 3]),
        ("conv.bias", &[64]),
        ("norm.weight", &[64]),
        ("norm.bias", &[64]),
        ("linear.weight", &[64, 64]),
    ];
    let folder = tempfile::tempdir().unwrap();
    let tensors: HashMap<&str, Tensor> =
        shapes.iter().map(|(name, shape)| (*name, Tensor::ones(*shape, DType::F32, &Device::Cpu).unwrap())).collect();
    candle_core::safetensors::save(&tensors, folder.path().join("model.safetensors")).unwrap();
    let weights = Weights::open(&Folder::Disk(folder.path().to_owned()), "model").unwrap();
    let compute = Compute::cpu();
    let vars = weights.vars(&compute);
    let norm = GroupNorm::load(&vars.sub("norm"), 32, 64, 1e-5).unwrap();
    let conv = Conv2d::load(&vars.sub("conv"), 64, 64, ConvShape::SAME_3X3).unwrap();
    let linear = Linear::load_no_bias(&vars.sub("linear"), 64, 64).unwrap();
    // One thread: two that free at the same moment may pass a block on.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let pass = |side: usize| {
        let x = Tensor::ones((1, side, side, 64), DType::F32, &Device::Cpu).unwrap();
        let y = conv.forward_add(&norm.forward_silu(&x).unwrap(), &x).unwrap();
        let tokens = linear.forward(&y.flatten(1, 2).unwrap()).unwrap();
        let inputs = Attention { query: &tokens, key: &tokens, value: &tokens, context: &[], heads: 2, bias: None };
        compute.attention(&inputs).unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()
    };
    // Activations of 590 kB and of 37 kB.
    for side in [48, 12] {
        let first = pool.install(|| pass(side));
        let before = COUNT.load(Ordering::SeqCst);
        assert!(before > 4, "large blocks are counted: {before}");
        let (small, small_bytes) = (SMALL.load(Ordering::SeqCst), SMALL_BYTES.load(Ordering::SeqCst));
        let second = pool.install(|| pass(side));
        let (small, small_bytes) =
            (SMALL.load(Ordering::SeqCst) - small, SMALL_BYTES.load(Ordering::SeqCst) - small_bytes);
        // Seven layers, each of which makes a tensor: its shape, strides and handles.
        assert!(small <= 7 * 20 && small_bytes <= 7 * (5 << 10), "{small} small blocks, {small_bytes} bytes");
        assert_eq!(COUNT.load(Ordering::SeqCst), before, "large blocks of the second pass");
        assert!(first.to_bits() == second.to_bits(), "{first} and {second}");
    }
}

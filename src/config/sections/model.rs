//! Which model runs, on which devices, and within which bounds.

use crate::config::readers;
use crate::config::rules::{self, Rule};
use crate::config::section::section;
use crate::domain::{BackendChoice, Convolutions, DeviceChoice, Dtype, ProductPrecision};

section! {
    /// Which model runs, and on which devices.
    struct Model in "model" {
        /// A folder that holds <name>-prior, <name> and <name>-inpaint, the id of a checkpoint in the hub cache
        /// (see `kandinsky pull`), or empty for the small model inside the binary. (--model)
        path: String = "", Rule::Text(rules::any);
        /// auto (the first GPU, else the CPU), cpu, or cuda:N. A list, or names separated by commas, starts one worker each.
        /// (--device)
        device: Vec<DeviceChoice> as readers::list = "auto", Rule::ListOrText(rules::parses::<DeviceChoice>);
        /// Precision of the weights on the CPU, of everything on a GPU: auto (as the checkpoint stores them; bf16 on a GPU),
        /// f32, bf16 or f16. (--dtype)
        dtype: Dtype = "auto", Rule::Text(rules::parses::<Dtype>);
        /// What computes: auto (on the CPU, own kernels for the best instruction set that it has; on a GPU, candle's operations),
        /// candle (also on the CPU, for comparison), or the kernels of one instruction set of the CPU: amx, avx512, avx2, neon or
        /// portable.
        backend: BackendChoice = "auto", Rule::Text(rules::parses::<BackendChoice>);
        /// How the CPU's own kernels compute 3x3 convolutions, for comparison: fastest (each layer as it is fastest), plain
        /// (sums of products), tiles2 or tiles4 (tiles of 2x2 or 4x4 outputs). The images differ by rounding.
        convolutions: Convolutions = "fastest", Rule::Text(rules::parses::<Convolutions>);
        /// What the CPU's own kernels multiply in: f32, or bf16, which is faster on processors with AVX512-BF16 or AMX (others
        /// refuse it) and gives slightly different images. The precision of a layer's sums is f32 either way.
        precision: ProductPrecision = "f32", Rule::Text(rules::parses::<ProductPrecision>);
        /// Load the second UNet, which inpainting and outpainting need.
        inpainting: bool = true, Rule::Flag;
    }
}

section! {
    /// One worker's bounds.
    struct Engine in "engine" {
        /// Maximum number of images that one worker has in flight; this bounds its memory.
        max_pictures_in_flight: usize = 64, Rule::Whole(1..=65_536);
        /// Take steps of several images together. If false, each takes its steps alone (still in turns); the images are the
        /// same.
        batching: bool = true, Rule::Flag;
    }
}

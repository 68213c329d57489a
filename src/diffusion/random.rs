//! PyTorch's CPU random numbers: `torch.Generator("cpu").manual_seed(seed)` and `torch.randn`.
//!
//! Invariant: the same seed and the same sequence of shapes give the numbers that PyTorch gives (f32, to the last
//! rounding of `ln`, `sin` and `cos`), so that prompts and seeds can be moved over from the reference implementation.
//! Source: ATen `CPUGeneratorImpl`, `DistributionTemplates.h` (`normal_fill` and the scalar path).

const STATE: usize = 624;
const SHIFT: usize = 397;
/// PyTorch fills tensors of at least this many elements in blocks; smaller ones go through the scalar path.
const BLOCK: usize = 16;

/// A PyTorch CPU generator: mt19937 with the Box-Muller transforms of `torch.randn`.
#[derive(Clone)]
pub struct Generator {
    state: [u32; STATE],
    index: usize,
    /// The second value of the last Box-Muller pair of the scalar path, which the next scalar draw uses up.
    spare: Option<f64>,
}

impl Generator {
    /// `torch.Generator("cpu").manual_seed(seed)`: only the low 32 bits of the seed reach mt19937.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the reference truncates")]
    pub fn new(seed: u64) -> Self {
        let mut state = [0_u32; STATE];
        state[0] = seed as u32;
        for i in 1..STATE {
            let previous = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(previous ^ (previous >> 30)).wrapping_add(i as u32);
        }
        Self { state, index: STATE, spare: None }
    }

    /// `torch.randn` of a tensor with `count` elements, f32, standard normal.
    #[must_use]
    pub fn normal(&mut self, count: usize) -> Vec<f32> {
        if count < BLOCK {
            return (0..count).map(|_| self.normal_scalar()).collect();
        }
        let mut values: Vec<f32> = (0..count).map(|_| self.uniform_f32()).collect();
        for block in values.chunks_exact_mut(BLOCK) {
            box_muller(block);
        }
        if !count.is_multiple_of(BLOCK) {
            // The last, incomplete block: the final 16 values are drawn anew.
            let tail = &mut values[count - BLOCK..];
            for value in tail.iter_mut() {
                *value = self.uniform_f32();
            }
            box_muller(tail);
        }
        values
    }

    #[expect(clippy::cast_possible_truncation, reason = "f64 to f32 as the reference does")]
    fn normal_scalar(&mut self) -> f32 {
        if let Some(spare) = self.spare.take() {
            return spare as f32;
        }
        let u1 = self.uniform_f64();
        let u2 = self.uniform_f64();
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let theta = 2.0 * std::f64::consts::PI * u1;
        self.spare = Some(radius * theta.sin());
        (radius * theta.cos()) as f32
    }

    /// 24 random bits in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "24 bits fit a f32")]
    fn uniform_f32(&mut self) -> f32 {
        (self.next_u32() & 0x00ff_ffff) as f32 / 16_777_216.0
    }

    /// 53 random bits in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a f64")]
    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.next_u32());
        let low = u64::from(self.next_u32());
        (((high << 32) | low) & ((1 << 53) - 1)) as f64 / 9_007_199_254_740_992.0
    }

    fn next_u32(&mut self) -> u32 {
        if self.index == STATE {
            self.refill();
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn refill(&mut self) {
        for i in 0..STATE {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % STATE] & 0x7fff_ffff);
            let twist = if y & 1 == 0 { 0 } else { 0x9908_b0df };
            self.state[i] = self.state[(i + SHIFT) % STATE] ^ (y >> 1) ^ twist;
        }
        self.index = 0;
    }
}

/// Turn 16 uniforms into 16 normals; value `j` pairs with value `j + 8`.
fn box_muller(block: &mut [f32]) {
    for j in 0..BLOCK / 2 {
        let u1 = 1.0 - block[j];
        let radius = (-2.0 * u1.ln()).sqrt();
        let theta = 2.0 * std::f32::consts::PI * block[j + BLOCK / 2];
        block[j] = radius * theta.cos();
        block[j + BLOCK / 2] = radius * theta.sin();
    }
}

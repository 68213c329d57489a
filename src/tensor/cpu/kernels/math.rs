//! The exponential, the error function and the activations built on them.
//!
//! Invariant: they are this file's own polynomials (within 2 ulp), the same on every machine, so results do not depend on
//! the system's maths library; the exponential's products are rounded as the instruction set's own are ([`ProductSum`]).

/// How a product is added to a number.
pub(super) trait ProductSum {
    fn add_product(sum: f32, a: f32, b: f32) -> f32;
}

/// Rounded once, by one instruction.
pub(super) struct Fused;

impl ProductSum for Fused {
    #[inline(always)]
    fn add_product(sum: f32, a: f32, b: f32) -> f32 {
        a.mul_add(b, sum)
    }
}

/// Product and sum rounded each, where there is no such instruction and rounding once takes many.
pub(super) struct Separate;

impl ProductSum for Separate {
    #[inline(always)]
    fn add_product(sum: f32, a: f32, b: f32) -> f32 {
        sum + a * b
    }
}

/// `x * sigmoid(x)`.
#[inline(always)]
pub(super) fn silu<P: ProductSum>(x: f32) -> f32 {
    x / (1.0 + exp::<P>(-x))
}

/// The tanh approximation of GELU.
#[inline(always)]
pub(super) fn gelu_tanh<P: ProductSum>(x: f32) -> f32 {
    let inner = 0.797_884_6 * (x + 0.044_715 * x * x * x);
    // (1 + tanh(u)) / 2 = sigmoid(2u)
    x / (1.0 + exp::<P>(-2.0 * inner))
}

/// `x * sigmoid(1.702 x)`.
#[inline(always)]
pub(super) fn quick_gelu<P: ProductSum>(x: f32) -> f32 {
    x / (1.0 + exp::<P>(-1.702 * x))
}

/// `x * Phi(x)`.
#[inline(always)]
pub(super) fn gelu<P: ProductSum>(x: f32) -> f32 {
    0.5 * x * (1.0 + erf::<P>(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// e^x by range reduction to [-ln 2 / 2, ln 2 / 2] and a polynomial of degree 6; saturates at e^88 and e^-87.3.
#[inline(always)]
pub(super) fn exp<P: ProductSum>(x: f32) -> f32 {
    exp_within::<P>(x.clamp(-87.3, 88.0))
}

/// The same for numbers from -87.3 to 88; for others it is arbitrary.
#[inline(always)]
pub(super) fn exp_within<P: ProductSum>(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5 * 2^23 rounds to the nearest integer.
    let shifted = P::add_product(12_582_912.0, x, LOG2_E);
    let rounded = shifted - 12_582_912.0;
    let r = P::add_product(P::add_product(x, rounded, -LN_2_HIGH), rounded, -LN_2_LOW);
    let p = P::add_product(1.398_199_9e-3, 1.987_569_2e-4, r);
    let p = P::add_product(8.333_452e-3, p, r);
    let p = P::add_product(4.166_579_6e-2, p, r);
    let p = P::add_product(0.166_666_66, p, r);
    let p = P::add_product(0.5, p, r);
    let p = P::add_product(r, p, r * r) + 1.0;
    // 2^n: n is in the last bits of the shifted number, whose others are shifted out.
    p * f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()))
}

/// The error function as `1 - t exp(-x^2 + poly(t))`, `t = 1 / (1 + |x| / 2)` (a rational Chebyshev fit, Numerical Recipes
/// sec. 6.2), within 3e-7.
#[inline(always)]
#[expect(clippy::excessive_precision, reason = "the published coefficients")]
fn erf<P: ProductSum>(x: f32) -> f32 {
    let z = x.abs();
    let t = 1.0 / (1.0 + 0.5 * z);
    let p = 0.170_872_77;
    let p = p * t - 0.822_152_23;
    let p = p * t + 1.488_515_87;
    let p = p * t - 1.135_203_98;
    let p = p * t + 0.278_868_07;
    let p = p * t - 0.186_288_06;
    let p = p * t + 0.096_784_18;
    let p = p * t + 0.374_091_96;
    let p = p * t + 1.000_023_68;
    let p = p * t - 1.265_512_23;
    (1.0 - t * exp::<P>(p - z * z)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_is_accurate_over_the_whole_range() {
        for exp in [exp::<Fused>, exp::<Separate>] {
            let mut x = -87.0_f32;
            while x < 88.0 {
                let want = f64::from(x).exp();
                let error = ((f64::from(exp(x)) - want) / want).abs();
                assert!(error < 3e-7, "exp({x}) is off by {error}");
                x += 0.013;
            }
            assert!(exp(-1000.0) < 1e-37);
            assert!(exp(1000.0) > 1e38);
        }
    }

    #[test]
    fn error_function_matches_known_values() {
        // Abramowitz & Stegun, table 7.1.
        for (x, want) in [(0.0, 0.0), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3), (-1.0, -0.842_700_8)]
        {
            let got = erf::<Fused>(x);
            assert!((got - want).abs() < 4e-7, "erf({x}) = {got}");
        }
    }
}

//! A decoding under way: MoVQ's decoder is the longest piece of work there is, so it is done in parts, and others take
//! their steps in between.
//!
//! Invariant: the parts are the layers of one pass in their order, and of attention some queries at a time, so where they
//! are cut never shows in the image.

use candle_core::Tensor;

use crate::families::kandinsky21::movq::decoder::{DecodeUnit, Decoder};
use crate::families::kandinsky21::movq::layers::Attending;
use crate::tensor::error::Result;
use crate::tensor::probe;

/// Multiplications of a part, unless one layer alone has more: less than a tenth of a second on two cores.
const PART: u64 = 1 << 33;

/// Latents on their way to pixels.
pub struct Decoding {
    /// The latents, `[batch, h, w, dim]`.
    zq: Tensor,
    /// What the layers so far gave.
    x: Tensor,
    /// The next layer.
    at: usize,
    /// Where that one is attention which has begun.
    attending: Option<Attending>,
}

impl Decoding {
    /// `x` are the latents after `post_quant_conv`, `zq` before it.
    pub(super) fn new(x: Tensor, zq: Tensor) -> Self {
        Self { zq, x, at: 0, attending: None }
    }

    /// The next part; after the last one the pixels, `[batch, height, width, 3]`.
    pub(super) fn step(&mut self, decoder: &Decoder) -> Result<Option<Tensor>> {
        let layers = decoder.layers();
        let mut spent = 0;
        while let Some(layer) = layers.get(self.at) {
            let cost = match &self.attending {
                Some(attending) => attending.cost()?,
                None => layer.work.cost(&self.x)?,
            };
            if spent > 0 && spent + cost > PART {
                return Ok(None);
            }
            spent += cost;
            if let Some(x) = probe::within(layer.scope, || self.advance(layer.work))? {
                if let Some(name) = &layer.end_of {
                    probe::image(name, &x);
                }
                self.x = x;
                self.at += 1;
            }
        }
        Ok(Some(self.x.clone()))
    }

    /// A layer, or the next part of one; what it gives once it is done.
    fn advance(&mut self, work: DecodeUnit<'_>) -> Result<Option<Tensor>> {
        let (x, zq) = (&self.x, Some(&self.zq));
        Ok(Some(match work {
            DecodeUnit::Conv(conv) => conv.forward(x)?,
            DecodeUnit::Upsample(conv) => conv.forward_upsampled(x)?,
            DecodeUnit::Resnet(resnet) => resnet.forward(x, zq)?,
            DecodeUnit::Attention(attention) => {
                let attending = match &mut self.attending {
                    Some(attending) => attending,
                    begun => begun.insert(attention.begin(x, zq)?),
                };
                attending.step()?;
                if !attending.is_done() {
                    return Ok(None);
                }
                let out = attention.finish(attending, x)?;
                self.attending = None;
                out
            }
            DecodeUnit::Out(norm, conv) => conv.forward(&norm.forward(x, zq, true)?)?,
        }))
    }
}

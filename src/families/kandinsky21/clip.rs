//! The transformer that CLIP's two encoders share: pre-norm blocks of attention and a two-layer perceptron
//! (Radford et al. 2021; transformers' `CLIPEncoder`).

use candle_core::Tensor;

use crate::tensor::error::Result;
use crate::tensor::probe;
use crate::tensor::{Activation, Attention, Compute, LayerNorm, Linear, Vars};

/// Sizes of an encoder.
pub(super) struct EncoderConfig {
    pub(super) layers: usize,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) hidden: usize,
    pub(super) activation: Activation,
    pub(super) eps: f64,
}

pub(super) struct Encoder {
    layers: Vec<Layer>,
}

#[expect(clippy::struct_field_names, reason = "the checkpoint's names")]
struct Layer {
    layer_norm1: LayerNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    heads: usize,
    activation: Activation,
    compute: Compute,
}

impl Encoder {
    pub(super) fn load(vars: &Vars<'_>, config: &EncoderConfig) -> Result<Self> {
        vars.check_heads(config.width, config.heads)?;
        let layers =
            (0..config.layers).map(|i| Layer::load(&vars.sub("layers").sub(i), config)).collect::<Result<_>>()?;
        Ok(Self { layers })
    }

    /// `[batch, tokens, width]` to the same; `bias` is added to the attention scores.
    pub(super) fn forward(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let mut x = x.clone();
        probe::sequence("hidden_states.0", &x);
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, bias)?;
            probe::sequence(format_args!("hidden_states.{}", i + 1), &x);
        }
        Ok(x)
    }
}

impl Layer {
    fn load(vars: &Vars<'_>, config: &EncoderConfig) -> Result<Self> {
        let width = config.width;
        let attention = vars.sub("self_attn");
        let projection = |name: &str| Linear::load(&attention.sub(name), width, width);
        Ok(Self {
            layer_norm1: LayerNorm::load(&vars.sub("layer_norm1"), width, config.eps)?,
            q_proj: projection("q_proj")?,
            k_proj: projection("k_proj")?,
            v_proj: projection("v_proj")?,
            out_proj: projection("out_proj")?,
            layer_norm2: LayerNorm::load(&vars.sub("layer_norm2"), width, config.eps)?,
            fc1: Linear::load(&vars.sub("mlp.fc1"), width, config.hidden)?,
            fc2: Linear::load(&vars.sub("mlp.fc2"), config.hidden, width)?,
            heads: config.heads,
            activation: config.activation,
            compute: vars.compute().clone(),
        })
    }

    fn forward(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let h = self.layer_norm1.forward(x)?;
        let attended = self.compute.attention(&Attention {
            query: &self.q_proj.forward(&h)?,
            key: &self.k_proj.forward(&h)?,
            value: &self.v_proj.forward(&h)?,
            context: &[],
            heads: self.heads,
            bias,
        })?;
        let x = self.out_proj.forward_add(&attended, x)?;
        let h = self.fc1.forward_activated(&self.layer_norm2.forward(&x)?, self.activation)?;
        self.fc2.forward_add(&h, &x)
    }
}

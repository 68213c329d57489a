//! The deterministic priors of the paper's ablation (arXiv 2310.03502, table 3): a linear map, and residual perceptron
//! blocks, from CLIP text embeddings to CLIP image embeddings.

use candle_core::Tensor;
use serde::Deserialize;

use crate::tensor::error::{Error, Result};
use crate::tensor::files::Folder;
use crate::tensor::weights::Weights;
use crate::tensor::{Activation, Compute, LayerNorm, Linear, Vars};

#[derive(Debug, Deserialize)]
struct Config {
    #[serde(rename = "type")]
    kind: String,
    embedding_dim: usize,
    hidden_dim: Option<usize>,
    num_blocks: Option<usize>,
    activation: Option<String>,
    layer_norm_eps: Option<f64>,
}

/// `prior-linear`: one linear layer.
pub struct LinearPrior {
    proj: Linear,
}

impl LinearPrior {
    /// Load from a `prior-linear` folder.
    pub fn load(folder: &Folder, compute: &Compute) -> Result<Self> {
        let config = read(folder, "linear")?;
        let weights = Weights::open(folder, "model")?;
        let proj = Linear::load(&weights.vars(compute).sub("proj"), config.embedding_dim, config.embedding_dim)?;
        Ok(Self { proj })
    }

    /// `[batch, embedding]` text embeddings to image embeddings.
    pub fn forward(&self, text_embeds: &Tensor) -> Result<Tensor> {
        self.proj.forward(text_embeds)
    }
}

/// `prior-residual`: residual blocks of norm, linear, activation, linear.
pub struct ResidualPrior {
    proj_in: Linear,
    blocks: Vec<Block>,
    norm_out: LayerNorm,
    proj_out: Linear,
    clip_mean: Tensor,
    clip_std: Tensor,
    activation: Activation,
}

struct Block {
    norm: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl ResidualPrior {
    /// Load from a `prior-residual` folder.
    pub fn load(folder: &Folder, compute: &Compute) -> Result<Self> {
        let config = read(folder, "residual")?;
        let bad = |message: String| Error::config(folder.name_of("config.json"), message);
        let name = config.activation.as_deref().unwrap_or("gelu");
        let activation = Activation::from_name(name).ok_or_else(|| bad(format!("unknown activation {name:?}")))?;
        let (embedding, eps) = (config.embedding_dim, config.layer_norm_eps.unwrap_or(1e-5));
        let hidden = config.hidden_dim.unwrap_or(embedding);
        let blocks = config.num_blocks.ok_or_else(|| bad("num_blocks is missing".to_owned()))?;
        let weights = Weights::open(folder, "model")?;
        let vars = weights.vars(compute);
        Ok(Self {
            proj_in: Linear::load(&vars.sub("proj_in"), embedding, hidden)?,
            blocks: (0..blocks).map(|i| Block::load(&vars.sub("blocks").sub(i), hidden, eps)).collect::<Result<_>>()?,
            norm_out: LayerNorm::load(&vars.sub("norm_out"), hidden, eps)?,
            proj_out: Linear::load(&vars.sub("proj_out"), hidden, embedding)?,
            clip_mean: vars.tensor("clip_mean", &[embedding])?,
            clip_std: vars.tensor("clip_std", &[embedding])?,
            activation,
        })
    }

    /// `[batch, embedding]` text embeddings to image embeddings.
    pub fn forward(&self, text_embeds: &Tensor) -> Result<Tensor> {
        let mut h = self.proj_in.forward(text_embeds)?;
        for block in &self.blocks {
            let inner = block.fc1.forward_activated(&block.norm.forward(&h)?, self.activation)?;
            h = block.fc2.forward_add(&inner, &h)?;
        }
        let out = self.proj_out.forward(&self.norm_out.forward(&h)?)?;
        Ok(out.broadcast_mul(&self.clip_std)?.broadcast_add(&self.clip_mean)?)
    }
}

impl Block {
    fn load(vars: &Vars<'_>, width: usize, eps: f64) -> Result<Self> {
        Ok(Self {
            norm: LayerNorm::load(&vars.sub("norm"), width, eps)?,
            fc1: Linear::load(&vars.sub("fc1"), width, width)?,
            fc2: Linear::load(&vars.sub("fc2"), width, width)?,
        })
    }
}

fn read(folder: &Folder, kind: &str) -> Result<Config> {
    let config: Config = folder.json("config.json", "the configuration of a regression prior")?;
    if config.kind == kind {
        return Ok(config);
    }
    Err(Error::config(folder.name_of("config.json"), format!("type is {:?}, not {kind:?}", config.kind)))
}

//! The text encoders against candle's own implementations of the same architectures.
//!
//!     cargo test --release --features oracle --test oracle

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::clip::text_model::{Activation, ClipTextConfig, ClipTextTransformer};
use candle_transformers::models::xlm_roberta::{Config, XLMRobertaModel};
use kandinsky::families::kandinsky21::clip_text::ClipText;
use kandinsky::families::kandinsky21::multilingual_clip::MultilingualClip;
use kandinsky::tensor::Compute;
use kandinsky::tensor::files::Folder;

fn folder(part: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("models/kandinsky-mini").join(part)
}

fn weights(folder: &std::path::Path) -> VarBuilder<'static> {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu).unwrap()
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

/// A batch of one.
fn row(values: &[u32]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
}

/// Start, some tokens, end and padding.
fn ids(end: u32, pad: u32, start: u32) -> Vec<u32> {
    let mut ids = vec![start, 5, 900, 33, 2077, end];
    ids.resize(77, pad);
    ids
}

#[test]
fn clip_text_states_equal_candles() {
    let folder = folder("kandinsky-mini-prior/text_encoder");
    let config = ClipTextConfig {
        vocab_size: 4020,
        embed_dim: 192,
        activation: Activation::QuickGelu,
        intermediate_size: 768,
        max_position_embeddings: 77,
        pad_with: None,
        num_hidden_layers: 4,
        num_attention_heads: 6,
        projection_dim: 192,
    };
    let oracle = ClipTextTransformer::new(weights(&folder).pp("text_model"), &config).unwrap();
    let ids = ids(4019, 4019, 4018);
    let want = oracle.forward_with_mask(&row(&ids), usize::MAX).unwrap();
    let ours = ClipText::load(&Folder::Disk(folder), &Compute::cpu()).unwrap();
    let got = ours.forward(&[ids]).unwrap().states;
    assert!(difference(&got, &want) < 2e-4, "{}", difference(&got, &want));
}

#[test]
fn xlm_roberta_states_equal_candles() {
    let folder = folder("kandinsky-mini/text_encoder");
    let config: Config = serde_json::from_value(serde_json::json!({
        "hidden_size": 192, "layer_norm_eps": 1e-5, "attention_probs_dropout_prob": 0.0, "hidden_dropout_prob": 0.0,
        "num_attention_heads": 6, "position_embedding_type": "absolute", "intermediate_size": 768, "hidden_act": "gelu",
        "num_hidden_layers": 4, "vocab_size": 4095, "max_position_embeddings": 96, "type_vocab_size": 1,
        "pad_token_id": 1
    }))
    .unwrap();
    let oracle = XLMRobertaModel::new(&config, weights(&folder).pp("transformer")).unwrap();
    let ids = ids(2, 1, 0);
    let mask: Vec<bool> = ids.iter().map(|id| *id != 1).collect();
    let input = row(&ids);
    let attended = row(&mask.iter().map(|m| u32::from(*m)).collect::<Vec<_>>());
    let types = input.zeros_like().unwrap();
    let want = oracle.forward(&input, &attended, &types, None, None, None).unwrap();
    let ours = MultilingualClip::load(&Folder::Disk(folder), &Compute::cpu()).unwrap();
    let got = ours.forward(&[ids], &[mask]).unwrap().states;
    // Candle's padding rows see other padding; real tokens must agree.
    let (got, want) = (got.narrow(1, 0, 6).unwrap(), want.narrow(1, 0, 6).unwrap());
    assert!(difference(&got, &want) < 2e-3, "{}", difference(&got, &want));
}

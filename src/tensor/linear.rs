//! Linear layers: `y = x W^T + b`.

use candle_core::Tensor;

use crate::tensor::error::{Error, Result};
use crate::tensor::gemm::{self, Dense};
use crate::tensor::packed::Packed;
use crate::tensor::weights::Vars;
use crate::tensor::{cpu, reference};

/// `torch.nn.Linear`.
pub struct Linear {
    weight: Weight,
    inputs: usize,
    outputs: usize,
}

enum Weight {
    Cpu { packed: Packed, bias: Option<Vec<f32>> },
    Other { weight: Tensor, bias: Option<Tensor> },
}

impl Linear {
    /// Load `weight` `[outputs, inputs]` and `bias` `[outputs]` below `vars`.
    pub fn load(vars: &Vars<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::load_with(vars, inputs, outputs, true)
    }

    /// Load `weight` `[outputs, inputs]` alone.
    pub fn load_no_bias(vars: &Vars<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Self::load_with(vars, inputs, outputs, false)
    }

    fn load_with(vars: &Vars<'_>, inputs: usize, outputs: usize, bias: bool) -> Result<Self> {
        let shape = [outputs, inputs];
        let weight = if vars.compute().device.is_cpu() {
            Weight::Cpu {
                packed: Packed::new(&vars.raw("weight", &shape)?, outputs, inputs, 1, vars.compute().weights),
                bias: if bias { Some(vars.values("bias", &[outputs])?) } else { None },
            }
        } else {
            Weight::Other {
                weight: vars.tensor("weight", &shape)?,
                bias: if bias { Some(vars.tensor("bias", &[outputs])?) } else { None },
            }
        };
        Ok(Self { weight, inputs, outputs })
    }

    /// `[..., inputs]` to `[..., outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.apply(x, None)
    }

    /// `residual + linear(x)`.
    pub fn forward_add(&self, x: &Tensor, residual: &Tensor) -> Result<Tensor> {
        self.apply(x, Some(residual))
    }

    fn apply(&self, x: &Tensor, residual: Option<&Tensor>) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        if shape.pop() != Some(self.inputs) {
            return Err(Error::Tensor(candle_core::Error::Msg(format!(
                "a linear layer of {} inputs was given {:?}",
                self.inputs,
                x.dims()
            ))));
        }
        let rows = shape.iter().product();
        shape.push(self.outputs);
        match &self.weight {
            Weight::Cpu { packed, bias } => {
                let x = x.contiguous()?;
                let mut out = vec![0.0; rows * self.outputs];
                cpu::with(&x, |values| {
                    let source = Dense { values, depth: self.inputs };
                    match residual {
                        None => gemm::product(&source, rows, packed, bias.as_deref(), None, &mut out),
                        Some(residual) => cpu::with(&residual.contiguous()?, |residual| {
                            gemm::product(&source, rows, packed, bias.as_deref(), Some(residual), &mut out);
                            Ok(())
                        })?,
                    }
                    Ok(())
                })?;
                cpu::tensor(out, &shape)
            }
            Weight::Other { weight, bias } => {
                let y = reference::linear(x, weight, bias.as_ref())?;
                Ok(match residual {
                    Some(residual) => (y + residual)?,
                    None => y,
                })
            }
        }
    }
}

//! Changes of size inside networks: nearest enlargement, 2x2 average pooling, and joining channels.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::tensor::cpu;
use crate::tensor::error::Result;

/// Resize an NHWC picture by nearest neighbour, `floor(i * in / out)`, as `torch.nn.functional.interpolate`.
pub fn upsample_nearest(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (batch, from_height, from_width, channels) = x.dims4()?;
    if (from_height, from_width) == (height, width) {
        return Ok(x.clone());
    }
    if !x.device().is_cpu() {
        let nchw = x.permute([0, 3, 1, 2])?.contiguous()?;
        return Ok(nchw.upsample_nearest2d(height, width)?.permute([0, 2, 3, 1])?.contiguous()?);
    }
    let x = x.contiguous()?;
    let out = cpu::with(&x, |values| {
        let mut out = vec![0.0; batch * height * width * channels];
        out.par_chunks_mut(width * channels).enumerate().for_each(|(row, line)| {
            let (sample, y) = (row / height, row % height);
            let source = (sample * from_height + y * from_height / height) * from_width;
            for (i, pixel) in line.chunks_exact_mut(channels).enumerate() {
                let at = (source + i * from_width / width) * channels;
                pixel.copy_from_slice(&values[at..at + channels]);
            }
        });
        Ok(out)
    })?;
    cpu::tensor(out, &[batch, height, width, channels])
}

/// 2x2 average pooling of an NHWC picture with even sides.
pub fn average_pool_2x(x: &Tensor) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    if !x.device().is_cpu() {
        let nchw = x.permute([0, 3, 1, 2])?.contiguous()?;
        return Ok(nchw.avg_pool2d(2)?.permute([0, 2, 3, 1])?.contiguous()?);
    }
    let x = x.contiguous()?;
    let (half_height, half_width) = (height / 2, width / 2);
    let out = cpu::with(&x, |values| {
        let mut out = vec![0.0; batch * half_height * half_width * channels];
        out.par_chunks_mut(half_width * channels).enumerate().for_each(|(row, line)| {
            let (sample, y) = (row / half_height, row % half_height);
            let top = (sample * height + 2 * y) * width * channels;
            let bottom = top + width * channels;
            for (i, pixel) in line.chunks_exact_mut(channels).enumerate() {
                let left = 2 * i * channels;
                let right = left + channels;
                for (c, p) in pixel.iter_mut().enumerate() {
                    let upper = values[top + left + c] + values[top + right + c];
                    let lower = values[bottom + left + c] + values[bottom + right + c];
                    *p = (upper + lower) * 0.25;
                }
            }
        });
        Ok(out)
    })?;
    cpu::tensor(out, &[batch, half_height, half_width, channels])
}

/// `[a, b]` along the last dimension.
pub fn concat_channels(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    Ok(Tensor::cat(&[a, b], a.rank() - 1)?)
}

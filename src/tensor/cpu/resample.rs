//! Changes of an image's size: nearest enlargement, and 2x2 average pooling.

use candle_core::Tensor;

use crate::cpu::buffers;
use crate::error::Result;
use crate::parallel;

/// `[batch, height, width, channels]` in another size, `floor(i * in / out)`.
pub(super) fn upsample_nearest(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let (batch, from_height, from_width, channels) = x.dims4()?;
    let out = buffers::with_values(x, |values| {
        let mut out = buffers::output(batch * height * width * channels);
        parallel::for_each_piece(&mut out, width * channels, |row, line| {
            let (sample, y) = (row / height, row % height);
            let source = (sample * from_height + y * from_height / height) * from_width;
            for (i, pixel) in line.chunks_exact_mut(channels).enumerate() {
                let at = (source + i * from_width / width) * channels;
                pixel.copy_from_slice(&values[at..at + channels]);
            }
        });
        out
    })?;
    buffers::tensor(out, &[batch, height, width, channels])
}

/// `[batch, height, width, channels]` to `[batch, height / 2, width / 2, channels]`.
pub(super) fn average_pool_2x(x: &Tensor) -> Result<Tensor> {
    let (batch, height, width, channels) = x.dims4()?;
    let (half_height, half_width) = (height / 2, width / 2);
    let out = buffers::with_values(x, |values| {
        let mut out = buffers::output(batch * half_height * half_width * channels);
        parallel::for_each_piece(&mut out, half_width * channels, |row, line| {
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
        out
    })?;
    buffers::tensor(out, &[batch, half_height, half_width, channels])
}

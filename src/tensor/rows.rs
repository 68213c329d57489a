//! A whole network for some rows on each thread, rather than each layer on all threads.
//!
//! Invariant: rows are independent, so how they are dealt out never shows in the result.
//!
//! Threads then meet once a step and not several times a layer, which is most of the time where layers are small, and each
//! transforms a layer's weights once for all of its rows. Networks with many weights keep to one layer at a time: there the threads
//! share what is read from memory.

use std::ops::Range;

use candle_core::Tensor;
use rayon::prelude::*;

use crate::compute::Compute;
use crate::error::{Error, Result};
use crate::{parallel, probe};

/// Bytes of weights up to which every thread may read all of them.
const SHARED_WEIGHTS: usize = 128 << 20;

/// Most rows of a part: enough to share a weight that was fetched, and so few that their activations stay near.
const ROWS_AT_ONCE: usize = 8;

impl Compute {
    /// The outputs of `forward`, `[rows, ...]` each, computed in parts on the threads there are, if the backend gains by it.
    /// `weight_bytes` is the size of the network.
    pub fn split_rows<const N: usize>(
        &self,
        rows: usize,
        weight_bytes: usize,
        forward: impl Fn(Range<usize>) -> Result<[Tensor; N]> + Sync,
    ) -> Result<[Tensor; N]> {
        let threads = parallel::threads();
        // As many on each thread.
        let parts = (threads * rows.div_ceil(threads * ROWS_AT_ONCE)).min(rows);
        // What layers give is recorded on this thread, in one piece.
        if parts < 2 || weight_bytes > SHARED_WEIGHTS || !self.backend().splits_batches() || probe::is_recording() {
            return forward(0..rows);
        }
        let outputs: Vec<[Tensor; N]> = (0..parts)
            .into_par_iter()
            .with_max_len(1)
            .map(|part| {
                let part = || forward(part * rows / parts..(part + 1) * rows / parts);
                // Threads without a part of their own share the layers of the others.
                if parts < threads { part() } else { parallel::alone(part) }
            })
            .collect::<Result<_>>()?;
        let joined = (0..N).map(|at| {
            let parts: Vec<&Tensor> = outputs.iter().map(|output| &output[at]).collect();
            Ok(Tensor::cat(&parts, 0)?)
        });
        let joined: Vec<Tensor> = joined.collect::<Result<_>>()?;
        joined.try_into().map_err(|_| Error::Request("a network gave too few outputs".to_owned()))
    }
}

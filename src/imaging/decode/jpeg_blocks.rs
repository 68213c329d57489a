//! The blocks of a JPEG's scan: how many bits of the coded data are theirs (ITU-T T.81, F.2 and G.2).
//!
//! Invariant: of the values it is known only which coefficients are not zero, since bits that refine them depend on that.

use super::jpeg_bits::{Bits, Code, Flaw};

/// Coefficients of a block.
pub(super) const BLOCK: usize = 64;

/// What a scan has of each block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Band {
    pub(super) first: usize,
    pub(super) last: usize,
    /// Whether it is one more bit of what an earlier scan began.
    pub(super) is_refined: bool,
}

/// The blocks of one scan, one after the other.
pub(super) struct Blocks<'a> {
    bits: Bits<'a>,
    band: Band,
    /// So many blocks, beginning with the next, get no new coefficients.
    run: u32,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(data: &'a [u8], band: Band) -> Self {
        Self { bits: Bits::new(data), band, run: 0 }
    }

    /// Go on behind the next restart marker.
    pub(super) fn restart(&mut self) -> Result<(), Flaw> {
        self.run = 0;
        self.bits.restart()
    }

    pub(super) fn reads_dc(&self) -> bool {
        self.band.first == 0
    }

    pub(super) fn reads_ac(&self) -> bool {
        self.band.last > 0
    }

    /// The DC coefficient of a block.
    pub(super) fn read_dc(&mut self, code: Option<&Code>) -> Result<(), Flaw> {
        let size = if self.band.is_refined { 1 } else { code.ok_or(Flaw::Invalid)?.read(&mut self.bits)? };
        self.bits.take(size).map(|_| ())
    }

    /// The AC coefficients of a block of a sequential file.
    pub(super) fn read_sequential(&mut self, code: &Code) -> Result<(), Flaw> {
        let mut at = 1;
        while at < BLOCK {
            let (zeros, length) = split(code.read(&mut self.bits)?);
            if length == 0 && zeros < 15 {
                break;
            }
            at += zeros + 1;
            self.bits.take(length)?;
        }
        Ok(())
    }

    /// The band of AC coefficients of a block of a progressive file. `present`: the bits of those that are not zero.
    pub(super) fn read_band(&mut self, code: &Code, present: &mut u64) -> Result<(), Flaw> {
        if self.band.is_refined { self.refine_band(code, present) } else { self.begin_band(code, present) }
    }

    fn begin_band(&mut self, code: &Code, present: &mut u64) -> Result<(), Flaw> {
        let mut at = self.band.first;
        while self.run == 0 && at <= self.band.last {
            let (zeros, length) = split(code.read(&mut self.bits)?);
            if length == 0 && zeros < 15 {
                self.read_run(zeros)?;
                break;
            }
            at += zeros;
            if length > 0 {
                self.bits.take(length)?;
                *present |= 1 << at.min(BLOCK - 1);
            }
            at += 1;
        }
        self.run = self.run.saturating_sub(1);
        Ok(())
    }

    /// One more bit of each coefficient that is not zero, and the first of those that become so.
    fn refine_band(&mut self, code: &Code, present: &mut u64) -> Result<(), Flaw> {
        let (mut at, last) = (self.band.first, self.band.last);
        while self.run == 0 && at <= last {
            let (mut zeros, length) = split(code.read(&mut self.bits)?);
            if length == 0 && zeros < 15 {
                self.read_run(zeros)?;
                break;
            }
            if length > 0 {
                // Its sign.
                self.bits.take(1)?;
            }
            while at <= last {
                if *present >> at & 1 == 1 {
                    self.bits.take(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                at += 1;
            }
            if length > 0 && at <= last {
                *present |= 1 << at;
            }
            at += 1;
        }
        if self.run > 0 {
            let rest = (*present >> at) & (u64::MAX >> (BLOCK - 1 - (last - at)));
            for _ in 0..rest.count_ones() {
                self.bits.take(1)?;
            }
            self.run -= 1;
        }
        Ok(())
    }

    /// How many blocks an end of a band stands for, this one included.
    fn read_run(&mut self, zeros: usize) -> Result<(), Flaw> {
        #[expect(clippy::cast_possible_truncation, reason = "below 15")]
        let more = self.bits.take(zeros as u8)?;
        self.run = (1 << zeros) + u32::from(more);
        Ok(())
    }
}

/// The zeros before a coefficient, and the length of its value.
fn split(symbol: u8) -> (usize, u8) {
    (usize::from(symbol >> 4), symbol & 15)
}

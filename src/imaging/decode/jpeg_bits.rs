//! The bits of a JPEG's coded data, and the Huffman codes in them (ITU-T T.81, annexes C and F).
//!
//! Invariant: no bit is made up. What is wanted behind the last one is missing.

/// Why coded data cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A marker, or the end of the file, where there should be more of them.
    Missing,
    Invalid,
}

/// Coded data from a scan's beginning on.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits, the first of them uppermost.
    window: u64,
    count: u8,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, window: 0, count: 0 }
    }

    /// The next `count` bits, 16 at most.
    #[expect(clippy::cast_possible_truncation, reason = "16 bits")]
    pub(super) fn take(&mut self, count: u8) -> Result<u16, Flaw> {
        if count == 0 {
            return Ok(0);
        }
        self.fill();
        if count > 16 {
            return Err(Flaw::Invalid);
        }
        let bits = (self.window >> (64 - count)) as u16;
        self.drop(count)?;
        Ok(bits)
    }

    /// Go on behind the next restart marker, which must be the next one at all.
    pub(super) fn restart(&mut self) -> Result<(), Flaw> {
        (self.window, self.count) = (0, 0);
        loop {
            match self.data.get(self.at..) {
                Some([0xff, 0xd0..=0xd7, ..]) => {
                    self.at += 2;
                    return Ok(());
                }
                Some([0xff, 0x01..=0xfe, ..] | []) | None => return Err(Flaw::Missing),
                // Coded data that no block took, or a byte that fills up.
                Some(_) => self.at += 1,
            }
        }
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let Some(&byte) = self.data.get(self.at) else { return };
            self.at += 1;
            if byte == 0xff {
                // Any number of these may be before a marker; before a zero, one is a byte of the data.
                match self.data[self.at..].iter().position(|next| *next != 0xff) {
                    Some(more) if self.data[self.at + more] == 0 => self.at += more + 1,
                    _ => {
                        self.at -= 1;
                        return;
                    }
                }
            }
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    fn drop(&mut self, count: u8) -> Result<(), Flaw> {
        self.count = self.count.checked_sub(count).ok_or(Flaw::Missing)?;
        self.window <<= count;
        Ok(())
    }
}

/// Bits that one look-up resolves.
const AT_ONCE: u8 = 8;

/// A Huffman code.
#[derive(Clone)]
pub(super) struct Code {
    symbols: Vec<u8>,
    /// Length and symbol of the code that so many bits begin with; a length of 0: it is longer.
    short: [(u8, u8); 1 << AT_ONCE],
    /// By the length of a code: what is below all codes that are longer, in 16 bits, and the index of the first symbol less its
    /// code.
    long: [(u32, i32); 17],
}

impl Code {
    /// The code of so many symbols of each length from 1 on. `None`: there is no such code.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut code = Self { symbols: symbols.to_vec(), short: [(0, 0); 256], long: [(0, 0); 17] };
        let (mut next, mut index) = (0_u32, 0_usize);
        for (length, count) in (1_u8..).zip(counts) {
            let first = i32::try_from(index).ok()? - i32::try_from(next).ok()?;
            for _ in 0..*count {
                let symbol = *symbols.get(index)?;
                if length <= AT_ONCE {
                    let (from, share) = ((next << (AT_ONCE - length)) as usize, 1 << (AT_ONCE - length));
                    code.short.get_mut(from..from + share)?.fill((length, symbol));
                }
                next += 1;
                index += 1;
            }
            if next > 1 << length {
                return None;
            }
            code.long[usize::from(length)] = (next << (16 - length), first);
            next <<= 1;
        }
        Some(code)
    }

    /// The next symbol.
    #[inline]
    pub(super) fn read(&self, bits: &mut Bits<'_>) -> Result<u8, Flaw> {
        if bits.count < 16 {
            bits.fill();
        }
        let (length, symbol) = self.short[(bits.window >> 56) as usize];
        if length > 0 {
            bits.drop(length)?;
            return Ok(symbol);
        }
        let next = (bits.window >> 48) as u32;
        for length in AT_ONCE + 1..=16 {
            let (limit, first) = self.long[usize::from(length)];
            if next < limit {
                bits.drop(length)?;
                let index = first + i32::try_from(next >> (16 - length)).map_err(|_| Flaw::Invalid)?;
                let symbol = usize::try_from(index).ok().and_then(|index| self.symbols.get(index));
                return symbol.copied().ok_or(Flaw::Invalid);
            }
        }
        Err(if bits.count < 16 { Flaw::Missing } else { Flaw::Invalid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code of T.81's table K.3 (luminance DC): 00, 010, 011, 100, 101, 110, 1110, 11110, ...
    fn code() -> Code {
        let counts = [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0];
        Code::new(&counts, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]).unwrap()
    }

    #[test]
    fn codes_of_all_lengths_are_read_and_none_behind_the_end() {
        // 00 110 111111110 1110 (11 are left), with the stuffed zero of T.81.
        let data = [0b0011_0111, 0b1111_1011, 0b1011_1111, 0xff, 0xd9];
        let (code, mut bits) = (code(), Bits::new(&data));
        let read: Vec<_> = (0..4).map(|_| code.read(&mut bits).unwrap()).collect();
        assert_eq!(read, [0, 5, 11, 6]);
        assert_eq!(bits.take(6), Ok(0b11_1111));
        assert_eq!((bits.take(1), code.read(&mut bits)), (Err(Flaw::Missing), Err(Flaw::Missing)));
        let stuffed = [0xff, 0x00, 0xff, 0xff, 0xd9];
        let mut bits = Bits::new(&stuffed);
        assert_eq!((bits.take(8), bits.take(1)), (Ok(255), Err(Flaw::Missing)));
    }

    #[test]
    fn more_symbols_than_codes_are_no_code() {
        let counts = [3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert!(Code::new(&counts, &[1, 2, 3]).is_none());
        assert!(Code::new(&[1; 16], &[1]).is_none());
    }

    #[test]
    fn a_restart_is_behind_the_next_marker_or_missing() {
        let data = [0x12, 0xff, 0x00, 0xff, 0xff, 0xd3, 0x80, 0xff, 0xd9];
        let mut bits = Bits::new(&data);
        assert_eq!(bits.restart(), Ok(()));
        assert_eq!((bits.take(1), bits.restart()), (Ok(1), Err(Flaw::Missing)));
    }
}

//! The table that normalises characters: a double-array trie (darts-clone's) from sequences of characters to what is read instead.
//!
//! The file has the trie's size in bytes, its units of 32 bits, and the replacements, each ended by a zero.
//!
//! Invariant: every look-up ends, and never reads beyond the table, whatever its bytes are.

/// The table.
#[derive(Debug, Clone, Default)]
pub(super) struct Charsmap {
    units: Vec<u32>,
    replacements: Vec<u8>,
}

impl Charsmap {
    /// Read the table; no bytes are a table that replaces nothing.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let wrong = || "its table of characters is cut off".to_owned();
        let (size, rest) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
        let size = u32::from_le_bytes(*size) as usize;
        let (units, replacements) = rest.split_at_checked(size).ok_or_else(wrong)?;
        if !size.is_multiple_of(4) {
            return Err(wrong());
        }
        let units = units.as_chunks::<4>().0.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        Ok(Self { units, replacements: replacements.to_vec() })
    }

    /// What the longest known beginning of `text` is replaced by, and how many bytes that beginning has. `None`: it is not known.
    pub(super) fn replace(&self, text: &str) -> Option<(&str, usize)> {
        let mut at = 0;
        let mut unit = *self.units.first()?;
        let mut found = None;
        at ^= offset(unit);
        for (i, byte) in text.bytes().enumerate() {
            at ^= byte as usize;
            let Some(next) = self.units.get(at) else { break };
            unit = *next;
            if label(unit) != u32::from(byte) {
                break;
            }
            at ^= offset(unit);
            if has_leaf(unit) {
                let leaf = self.units.get(at)?;
                found = Some(((leaf & 0x7fff_ffff) as usize, i + 1));
            }
        }
        let (start, length) = found?;
        // A sequence that ends within a character is none of this text's.
        let known = text.is_char_boundary(length).then_some(length)?;
        let rest = self.replacements.get(start..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some((std::str::from_utf8(&rest[..end]).ok()?, known))
    }
}

fn has_leaf(unit: u32) -> bool {
    unit >> 8 & 1 == 1
}

fn label(unit: u32) -> u32 {
    unit & (1 << 31 | 0xff)
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & 1 << 9) >> 6)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_any_bytes_are_read_or_refused_and_never_read_beyond() {
        assert!(Charsmap::read(&[1]).is_err() && Charsmap::read(&[9, 0, 0, 0, 1]).is_err());
        for seed in 0..200_u32 {
            let mut bytes = 64_u32.to_le_bytes().to_vec();
            bytes.extend(
                (0..96_u32)
                    .map(|i| (seed.wrapping_mul(2_654_435_761).wrapping_add(i * i * 40_503) >> 11).to_le_bytes()[0]),
            );
            let table = Charsmap::read(&bytes).unwrap();
            for text in ["", "a", "Ёлка", "\u{fb01}n", "…"] {
                let replaced = table.replace(text);
                assert!(replaced.is_none_or(|(_, length)| text.is_char_boundary(length)), "{seed}: {replaced:?}");
            }
        }
    }
}

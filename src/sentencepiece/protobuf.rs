//! Protocol buffers, as far as it takes to read a model: fields in order, with their numbers.
//!
//! Invariant: whatever the bytes are, reading ends, and never beyond them.

/// A value of a protocol buffer.
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
    Fixed64,
}

impl Value<'_> {
    /// The number as a truth value.
    pub(super) fn flag(&self) -> Option<bool> {
        if let Self::Number(number) = self { Some(*number != 0) } else { None }
    }
}

/// The fields of a message with their numbers; the last one is `None` if the message cannot be read on.
pub(super) fn fields(mut rest: &[u8]) -> impl Iterator<Item = Option<(u64, Value<'_>)>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = read_field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field)
    })
}

fn read_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = read_number(rest)?;
    let value = match tag & 7 {
        0 => Value::Number(read_number(rest)?),
        1 => take(rest, 8).map(|_| Value::Fixed64)?,
        2 => {
            let length = usize::try_from(read_number(rest)?).ok()?;
            Value::Bytes(take(rest, length)?)
        }
        5 => Value::Fixed32(take(rest, 4)?.try_into().ok()?),
        _ => return None,
    };
    Some((tag >> 3, value))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// A number in base 128, the lowest digits first.
fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

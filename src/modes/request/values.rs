//! The kinds of values that requests hold, and what is said of one that is of another kind.
//!
//! Invariant: what a value must be is said without quoting it. Numbers and truth values are also read from texts, as forms and
//! many clients write them; a whole number may be written `64.0`. Numbers beyond a type's range become its nearest one, which
//! the check of the field's own range then refuses.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::reading::Reading;

/// Where a value was sent, and what is noticed of it.
pub struct Place<'a> {
    pointer: String,
    reading: &'a mut Reading,
}

impl<'a> Place<'a> {
    /// A place at this JSON pointer.
    pub fn new(pointer: String, reading: &'a mut Reading) -> Self {
        Self { pointer, reading }
    }

    /// Note that the value breaks a rule.
    pub fn refuse<T>(&mut self, message: impl Into<String>) -> Option<T> {
        let pointer = self.reading.names.sent(&self.pointer).unwrap_or_else(|| self.pointer.clone());
        self.reading.violations.add(pointer, message);
        None
    }

    /// The place of a part.
    pub fn part(&mut self, name: impl std::fmt::Display) -> Place<'_> {
        Place { pointer: format!("{}/{name}", self.pointer), reading: self.reading }
    }

    /// Read an object; fields that `read` leaves are refused by name.
    pub fn object<T>(&mut self, value: Value, read: impl FnOnce(&mut Fields<'_>) -> T) -> Option<T> {
        let mut fields = self.fields(value)?;
        let read = read(&mut fields);
        fields.refuse_leftover();
        Some(read)
    }

    /// Read an object; fields that `read` leaves are reported by name.
    pub fn open_object<T>(&mut self, value: Value, read: impl FnOnce(&mut Fields<'_>) -> T) -> Option<T> {
        let mut fields = self.fields(value)?;
        let read = read(&mut fields);
        fields.report_leftover();
        Some(read)
    }

    fn fields(&mut self, value: Value) -> Option<Fields<'_>> {
        let Value::Object(values) = value else { return self.refuse("must be an object") };
        Some(Fields::new(values, self.pointer.clone(), self.reading))
    }
}

/// A value of a certain kind.
pub trait ReadValue: Sized {
    /// Read it; `None` if it is of another kind, which is noted.
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self>;

    /// Whether the value says that there is none.
    #[must_use]
    fn is_absent(_value: &Value) -> bool {
        false
    }
}

/// What programs write into a field that has no value.
fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| ["", "undefined", "null"].contains(&text.trim()))
}

impl ReadValue for String {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        match value {
            Value::String(text) => Some(text),
            _ => at.refuse("must be a text"),
        }
    }
}

/// An object whose fields are read later.
impl ReadValue for Map<String, Value> {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        match value {
            Value::Object(object) => Some(object),
            _ => at.refuse("must be an object"),
        }
    }
}

impl ReadValue for bool {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        let read = match &value {
            Value::Bool(value) => Some(*value),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
            Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
            _ => None,
        };
        read.or_else(|| at.refuse("must be true or false"))
    }

    fn is_absent(value: &Value) -> bool {
        is_blank(value)
    }
}

/// A number without a fraction, however it is written.
fn whole(value: &Value) -> Option<i128> {
    let of_float = |number: f64| {
        #[expect(clippy::cast_possible_truncation, reason = "whole, and saturating")]
        (number.is_finite() && number.fract() == 0.0).then_some(number as i128)
    };
    match value {
        Value::Number(number) => {
            let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            exact.or_else(|| number.as_f64().and_then(of_float))
        }
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().and_then(of_float))
        }
        _ => None,
    }
}

/// Reads a whole number of 0 or more.
fn natural(value: &Value, at: &mut Place<'_>) -> Option<u128> {
    match whole(value) {
        Some(number) => u128::try_from(number).ok().or_else(|| at.refuse("must be 0 or more")),
        None => at.refuse("must be a whole number"),
    }
}

impl ReadValue for u32 {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        natural(&value, at).map(|number| Self::try_from(number).unwrap_or(Self::MAX))
    }

    fn is_absent(value: &Value) -> bool {
        is_blank(value)
    }
}

impl ReadValue for i64 {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        match whole(&value) {
            Some(number) => Some(Self::try_from(number).unwrap_or(if number < 0 { Self::MIN } else { Self::MAX })),
            None => at.refuse("must be a whole number"),
        }
    }

    fn is_absent(value: &Value) -> bool {
        is_blank(value)
    }
}

impl ReadValue for f64 {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        let read = match &value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        read.filter(|number: &Self| number.is_finite()).or_else(|| at.refuse("must be a number"))
    }

    fn is_absent(value: &Value) -> bool {
        is_blank(value)
    }
}

impl ReadValue for f32 {
    #[expect(clippy::cast_possible_truncation, reason = "what lies beyond becomes infinite, which no range has")]
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        f64::read(value, at).map(|number| number as Self)
    }

    fn is_absent(value: &Value) -> bool {
        is_blank(value)
    }
}

/// A seed: `None` for -1, by which many programs mean a random one.
#[derive(Debug, Clone, Copy)]
pub struct Seed(pub Option<u64>);

impl ReadValue for Seed {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        match whole(&value) {
            Some(-1) => Some(Self(None)),
            Some(number) if number >= 0 => Some(Self(Some(u64::try_from(number).unwrap_or(u64::MAX)))),
            Some(_) => at.refuse("must be 0 to 2^63 - 1, or -1 for a random one"),
            None => at.refuse("must be a whole number, or -1 for a random one"),
        }
    }

    fn is_absent(value: &Value) -> bool {
        is_blank(value)
    }
}

impl<T: ReadValue> ReadValue for Vec<T> {
    fn read(value: Value, at: &mut Place<'_>) -> Option<Self> {
        let Value::Array(items) = value else { return at.refuse("must be a list") };
        let items: Vec<Option<T>> =
            items.into_iter().enumerate().map(|(i, item)| T::read(item, &mut at.part(i))).collect();
        items.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T: ReadValue>(value: Value) -> Result<T, String> {
        let mut reading = Reading::default();
        let read = T::read(value, &mut Place::new("/x".to_owned(), &mut reading));
        read.ok_or_else(|| reading.violations.to_string())
    }

    #[test]
    fn numbers_are_read_as_programs_write_them() {
        for (value, number) in [(json!(64), 64), (json!(64.0), 64), (json!("64"), 64), (json!(" 6.4e1 "), 64)] {
            assert_eq!(read::<u32>(value), Ok(number));
        }
        assert_eq!(read::<u32>(json!(1e99)), Ok(u32::MAX), "the field's own range refuses it");
        assert_eq!(read::<i64>(json!(-1e99)), Ok(i64::MIN));
        assert_eq!(read::<f64>(json!("0.5")), Ok(0.5));
        for (value, said) in [
            (json!(-1), "/x: must be 0 or more"),
            (json!(1.5), "/x: must be a whole number"),
            (json!("many"), "/x: must be a whole number"),
            (json!([1]), "/x: must be a whole number"),
            (json!(true), "/x: must be a whole number"),
        ] {
            assert_eq!(read::<u32>(value), Err(said.to_owned()));
        }
        assert_eq!(read::<f32>(json!("NaN")), Err("/x: must be a number".to_owned()));
    }

    #[test]
    fn a_seed_of_minus_one_is_none() {
        let seed = |value: Value| read::<Seed>(value).map(|seed| seed.0);
        assert_eq!([json!(-1), json!("-1"), json!(-1.0)].map(seed), [Ok(None), Ok(None), Ok(None)]);
        assert_eq!([json!(7), json!("7"), json!(7.0)].map(seed), [Ok(Some(7)), Ok(Some(7)), Ok(Some(7))]);
        assert!(seed(json!(-2)).is_err() && seed(json!(0.5)).is_err());
    }

    #[test]
    fn every_wrong_item_of_a_list_is_named() {
        let said = read::<Vec<u32>>(json!([1, "a", -1])).unwrap_err();
        assert_eq!(said, "/x/1: must be a whole number; /x/2: must be 0 or more");
    }
}

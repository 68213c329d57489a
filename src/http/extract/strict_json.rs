//! JSON in which duplicate keys and more than 10,000 values are errors.
//!
//! Readers differ in which of two duplicate keys they take, so such a request means different things to a proxy and to this
//! server. And a value of one byte takes up many in memory, and an error about it even more.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};

use crate::domain::excerpt;

/// Most values, nested ones included.
const MAX_VALUES: usize = 10_000;

/// Why a text is not read as JSON, in words for the one who sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("there is none")]
    Empty,
    #[error("it ends before its end: a bracket or a quotation mark is not closed")]
    Unfinished,
    #[error("it must be UTF-8, which it is not")]
    Encoding,
    #[error("it stops being JSON in line {line}, at character {column}")]
    Syntax { line: usize, column: usize },
    #[error("the key {0} comes twice")]
    DuplicateKey(String),
    #[error("it has more than {MAX_VALUES} values")]
    TooManyValues,
    #[error("a number is out of range")]
    Number,
}

/// Read a value without duplicate keys. A byte order mark before it is skipped.
pub(crate) fn read_json(text: &[u8]) -> Result<Value, JsonError> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(JsonError::Empty);
    }
    let refused = RefCell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let reader = Reader { left: &Cell::new(MAX_VALUES), refused: &refused };
    let read = reader.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| {
        refused.take().unwrap_or_else(|| match error.classify() {
            // Every second byte of UTF-16 is 0.
            _ if std::str::from_utf8(text).is_err() || text.iter().take(4).any(|byte| *byte == 0) => {
                JsonError::Encoding
            }
            Category::Eof => JsonError::Unfinished,
            _ => JsonError::Syntax { line: error.line(), column: error.column() },
        })
    })
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    /// How many values may follow.
    left: &'a Cell<usize>,
    /// Why this reader stopped, where the text is JSON.
    refused: &'a RefCell<Option<JsonError>>,
}

impl Reader<'_> {
    /// Stop for a reason of this reader's own.
    fn refuse<E: serde::de::Error>(&self, error: JsonError) -> E {
        self.refused.replace(Some(error));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(self.refuse(JsonError::TooManyValues));
        };
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.refuse(JsonError::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(self.refuse(JsonError::DuplicateKey(excerpt(&key))));
            }
            object.insert(key, entries.next_value_seed(self)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_json_is_told_without_words_of_the_parser() {
        assert_eq!(read_json(b"\xef\xbb\xbf {\"a\": [1, 2.5]}"), Ok(json!({"a": [1, 2.5]})));
        for (text, error) in [
            ("", JsonError::Empty),
            ("  \n", JsonError::Empty),
            ("{\"a\": [1", JsonError::Unfinished),
            ("prompt=x", JsonError::Syntax { line: 1, column: 1 }),
            ("{\n'a': 1}", JsonError::Syntax { line: 2, column: 1 }),
            ("{} {}", JsonError::Syntax { line: 1, column: 4 }),
            ("{\"a\": 1, \"a\": 2}", JsonError::DuplicateKey("a".to_owned())),
        ] {
            assert_eq!(read_json(text.as_bytes()), Err(error), "{text}");
        }
        for text in [&b"{\"a\": \"na\xefve\"}"[..], b"{\0\"\0a\0", b"\xff\xfe{\0}\0"] {
            assert_eq!(read_json(text), Err(JsonError::Encoding), "{text:?}");
        }
        let many = format!("[{}1]", "1,".repeat(MAX_VALUES));
        assert_eq!(read_json(many.as_bytes()), Err(JsonError::TooManyValues));
        let deep = "[".repeat(100_000);
        assert!(matches!(read_json(deep.as_bytes()), Err(JsonError::Syntax { .. })));
    }
}

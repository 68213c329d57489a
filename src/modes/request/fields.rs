//! An object of a request, whose fields are taken out one by one, each as the kind of value that it must be.
//!
//! Invariant: nothing of a request is read but by these readers, so that every violation names the field as it was sent and
//! what it must be; what was not taken is left over, and refused or reported by its name.

use serde_json::{Map, Value};

use super::reading::Reading;
use super::values::{Place, ReadValue};
use crate::domain::{Warning, WarningCode, excerpt};

/// Most fields without effect that are reported by name.
const MAX_REPORTED: usize = 8;

/// A structure at the top of a request.
pub trait ReadFields: Sized {
    /// Take the fields. What is missing or wrong is noted, and something stands in for it.
    fn read(fields: &mut Fields<'_>) -> Self;
}

/// An object of a request.
pub struct Fields<'a> {
    values: Map<String, Value>,
    /// Its JSON pointer; empty at the top.
    pointer: String,
    reading: &'a mut Reading,
}

impl<'a> Fields<'a> {
    /// The fields of an object at this JSON pointer. An explicit null means the same as an absent field.
    pub fn new(mut values: Map<String, Value>, pointer: String, reading: &'a mut Reading) -> Self {
        values.retain(|_, value| !value.is_null());
        Self { values, pointer, reading }
    }

    /// Whether there is a value under this name.
    #[must_use]
    pub fn is_given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A field as it was sent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name)
    }

    /// All fields that were not taken.
    pub fn take_rest(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.values)
    }

    /// A field that may be absent; `None` also if it is of the wrong kind, which is then noted.
    pub fn optional<T: ReadValue>(&mut self, name: &str) -> Option<T> {
        let value = self.values.remove(name).filter(|value| !T::is_absent(value))?;
        let pointer = self.pointer_of(name);
        T::read(value, &mut Place::new(pointer, self.reading))
    }

    /// A field that must be given; something stands in for it if it is not, which is noted.
    pub fn required<T: ReadValue + Default>(&mut self, name: &str) -> T {
        if !self.is_given(name) {
            self.refuse(name, "must be given");
        }
        self.optional(name).unwrap_or_default()
    }

    /// A field with one of several names as its value; an empty one is as absent as in a form that was not filled in. A value that
    /// is no text is a name that there is not, so that the answer says which there are.
    pub fn name(&mut self, name: &str) -> Option<String> {
        if let Some(value) = self.values.get_mut(name) {
            match value {
                Value::Bool(_) | Value::Number(_) => *value = Value::String(value.to_string()),
                Value::Array(_) => *value = "[...]".into(),
                Value::Object(_) => *value = "{...}".into(),
                Value::Null | Value::String(_) => {}
            }
        }
        self.optional::<String>(name).filter(|value| !["", "undefined"].contains(&value.trim()))
    }

    /// Read a field also under the names that other servers have for it. The same value may come under several names.
    pub fn rename(&mut self, name: &'static str, others: &[&'static str]) {
        for other in others {
            let Some(value) = self.values.remove(*other) else { continue };
            match self.values.get(name) {
                None => {
                    self.values.insert(name.to_owned(), value);
                    let (own, sent) = (self.pointer_of(name), self.pointer_of(other));
                    self.reading.names.add(own, sent);
                }
                Some(own) if *own == value => {}
                Some(_) => self.refuse(other, format!("contradicts {name}, which means the same")),
            }
        }
    }

    /// Note that the field breaks a rule.
    pub fn refuse(&mut self, name: &str, message: impl Into<String>) {
        let pointer = self.pointer_of(name);
        let pointer = self.reading.names.sent(&pointer).unwrap_or(pointer);
        self.reading.violations.add(pointer, message);
    }

    /// Note that the field has no effect, and why.
    pub fn ignore(&mut self, name: &str, message: impl Into<String>) {
        let pointer = self.pointer_of(name);
        self.reading.warnings.push(Warning::new(WarningCode::FieldIgnored, message).at(pointer));
    }

    /// Note that errors of the native field `own` are about the field `sent` here.
    pub fn note_name(&mut self, own: &str, sent: &str) {
        let (own, sent) = (format!("/{own}"), self.pointer_of(sent));
        self.reading.names.add(own, sent);
    }

    /// Refuse by name what was not taken.
    pub(super) fn refuse_leftover(mut self) {
        for name in std::mem::take(&mut self.values).keys() {
            self.refuse(name, "is not a field of this request");
        }
    }

    /// Report by name what was not taken.
    pub(super) fn report_leftover(mut self) {
        let values = std::mem::take(&mut self.values);
        for name in values.keys().take(MAX_REPORTED) {
            self.ignore(name, format!("{} is not a field of this request and was ignored", excerpt(name)));
        }
        if let Some(more) = values.len().checked_sub(MAX_REPORTED).filter(|more| *more > 0) {
            let message = format!("{more} more fields are not of this request and were ignored");
            self.reading.warnings.push(Warning::new(WarningCode::FieldIgnored, message));
        }
    }

    fn pointer_of(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, excerpt(name))
    }
}

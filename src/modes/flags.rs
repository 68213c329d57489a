//! Command-line flags of modes: each writes one field of the mode's request, as a form would.
//!
//! Invariant: a flag that several modes share is declared once, here.

use serde_json::{Map, Value, json};

use super::request::Form;

/// One flag of `kandinsky generate`. The field that it writes has its name, with underscores.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// The name after the two dashes.
    pub name: &'static str,
    /// What stands for the value in the help. Empty: the flag has no value.
    pub value_name: &'static str,
    pub help: &'static str,
    /// Whether it may be given several times.
    pub repeated: bool,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    /// The value is the path of a file, which is sent.
    File,
    /// A number or truth value, written as in JSON.
    Json,
    /// Numbers divided by commas: the members of an object.
    Numbers(&'static [&'static str]),
    /// Without a value; sets a field that is named otherwise.
    Off(&'static str),
}

/// A prompt.
pub(super) const PROMPT: Flag =
    Flag { repeated: true, ..Flag::text("prompt", "TEXT", "English or Russian. Several times for text-image-fusion") };
/// An image.
pub(super) const IMAGE: Flag =
    Flag { repeated: true, ..Flag::file("image", "A PNG, JPEG or WebP image. Several times for the fusions") };
/// The weight of an input of a fusion.
pub(super) const WEIGHT: Flag = Flag {
    repeated: true,
    ..Flag::json(
        "weight",
        "W",
        "Weights of a fusion: first of the images in their order, then of the prompts [default: equal]",
    )
};
/// Keeps the weights as they are.
pub(super) const NO_NORMALIZE: Flag = Flag {
    name: "no-normalize-weights",
    value_name: "",
    help: "The fusions: keep the weights as they are, also if they do not sum to 1",
    repeated: false,
    kind: Kind::Off("normalize_weights"),
};
/// How much of the image the model works on.
pub(super) const REGION: Flag = Flag::text(
    "region",
    "REGION",
    "Inpainting and outpainting: auto (what is repainted and its surroundings) or full [default: auto]",
);
/// What the model sees around what it repaints.
pub(super) const PADDING: Flag =
    Flag::json("padding", "PX", "Inpainting and outpainting: least surroundings of the region, px");
/// Matches the colours of the new part.
pub(super) const MATCH_COLORS: Flag = Flag::json(
    "match-colors",
    "BOOL",
    "Inpainting and outpainting: match the colors of the new part to its border [default: true in outpainting]",
);
/// The width of the soft edge.
pub(super) const FEATHER: Flag = Flag::json(
    "feather",
    "PX",
    "Inpainting and outpainting: width of the soft edge inside the repainted area, px [default: 0]",
);
/// Turns compositing off.
pub(super) const NO_COMPOSITE: Flag = Flag {
    name: "no-composite",
    value_name: "",
    help: "Inpainting and outpainting: return the whole image as the model draws it, not only its new parts",
    repeated: false,
    kind: Kind::Off("composite"),
};

impl Flag {
    /// A flag whose value is a text.
    pub(super) const fn text(name: &'static str, value_name: &'static str, help: &'static str) -> Self {
        Self { name, value_name, help, repeated: false, kind: Kind::Text }
    }

    /// A flag whose value is the path of a file.
    pub(super) const fn file(name: &'static str, help: &'static str) -> Self {
        Self { name, value_name: "FILE", help, repeated: false, kind: Kind::File }
    }

    /// A flag whose value is a number or truth value.
    pub(super) const fn json(name: &'static str, value_name: &'static str, help: &'static str) -> Self {
        Self { name, value_name, help, repeated: false, kind: Kind::Json }
    }

    /// A flag whose value are numbers divided by commas, each a member of an object.
    pub(super) const fn numbers(
        name: &'static str,
        value_name: &'static str,
        members: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, value_name, help, repeated: false, kind: Kind::Numbers(members) }
    }

    /// Whether the value is the path of a file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File)
    }

    /// Whether the value may begin with a minus.
    #[must_use]
    pub fn allows_negative(&self) -> bool {
        matches!(self.kind, Kind::Json | Kind::Numbers(_))
    }

    /// Write the flag's value into a form. Of a file it is the content in base64. Fails with a message if the value cannot be
    /// read.
    pub fn write(&self, value: &str, form: &mut Form) -> Result<(), String> {
        let field = self.name.replace('-', "_");
        let (field, entries, value) = match self.kind {
            Kind::Text => (field, &mut form.texts, Value::String(value.to_owned())),
            Kind::File => (field, &mut form.files, Value::String(value.to_owned())),
            Kind::Json => {
                let read = serde_json::from_str(value).map_err(|_| format!("{value:?} is not a number"))?;
                (field, &mut form.texts, read)
            }
            Kind::Numbers(members) => (field, &mut form.texts, read_members(value, members)?),
            Kind::Off(field) => (field.to_owned(), &mut form.texts, json!(false)),
        };
        entries.entry(field).or_default().push(value);
        Ok(())
    }
}

fn read_members(text: &str, members: &[&str]) -> Result<Value, String> {
    let numbers: Vec<i64> = text.split(',').map_while(|part| part.trim().parse().ok()).collect();
    if numbers.len() != members.len() || text.split(',').count() != members.len() {
        return Err(format!("{text:?} is not {} whole numbers: {}", members.len(), members.join(",")));
    }
    let members = members.iter().zip(numbers).map(|(member, number)| ((*member).to_owned(), json!(number)));
    Ok(Value::Object(members.collect::<Map<_, _>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_an_object_and_anything_else_is_refused() {
        let flag = Flag::numbers("expand", "LEFT,TOP", &["left", "top"], "");
        let mut form = Form::default();
        flag.write("-1, 2", &mut form).unwrap();
        assert_eq!(form.texts["expand"], [json!({"left": -1, "top": 2})]);
        for wrong in ["1", "1,2,3", "1,b", "", "1.5,2"] {
            assert!(flag.write(wrong, &mut form).is_err(), "{wrong}");
        }
    }
}

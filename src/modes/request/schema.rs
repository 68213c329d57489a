//! What a body's schema says of a field: whether forms write it as text or as JSON.

use std::collections::BTreeMap;

use utoipa::openapi::schema::{ArrayItems, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};

use super::FormBody;

type Schemas = BTreeMap<String, RefOr<Schema>>;

/// How the fields of a body are written in a form.
pub struct FormSchema {
    body: RefOr<Schema>,
    /// The schemas that the body refers to.
    schemas: Schemas,
    json: &'static [&'static str],
}

impl FormSchema {
    /// That of a body.
    #[must_use]
    pub fn of<T: FormBody>() -> Self {
        let mut schemas = Vec::new();
        T::schemas(&mut schemas);
        Self { body: T::schema(), schemas: schemas.into_iter().collect(), json: T::FORM_JSON }
    }

    /// Whether the field under `name` (`prior.steps`, `images.0.image`) takes a text; other values are written as JSON: numbers,
    /// truth values, objects, lists. A name that the schema does not have is looked up as a field of any structure in the
    /// body; failing that it is a text.
    #[must_use]
    pub fn is_text(&self, name: &str) -> bool {
        let path: Vec<&str> = name.split('.').collect();
        let last = &path[path.len() - 1..];
        if self.json.contains(&last[0]) {
            return false;
        }
        let anywhere = || self.schemas.values().find_map(|schema| find(schema, last, &self.schemas));
        let field = find(&self.body, &path, &self.schemas).or_else(anywhere);
        field.is_none_or(|field| takes_text(&field, &self.schemas))
    }
}

impl FormSchema {
    /// Whether the field under `name` is a text and nothing else, such as a prompt: not an image, which may be a text as well.
    #[must_use]
    pub fn is_plain_text(&self, name: &str) -> bool {
        let path: Vec<&str> = name.split('.').collect();
        let field = find(&self.body, &path, &self.schemas);
        let schema = field.as_ref().and_then(|field| resolve(field, &self.schemas));
        matches!(schema, Some(Schema::Object(object)) if match &object.schema_type {
            SchemaType::Type(kind) => *kind == Type::String,
            SchemaType::Array(kinds) => kinds.contains(&Type::String),
            SchemaType::AnyValue => false,
        })
    }
}

fn resolve<'a>(schema: &'a RefOr<Schema>, schemas: &'a Schemas) -> Option<&'a Schema> {
    match schema {
        RefOr::T(schema) => Some(schema),
        RefOr::Ref(Ref { ref_location, .. }) => {
            let name = ref_location.rsplit('/').next()?;
            schemas.get(name).and_then(|schema| resolve(schema, schemas))
        }
    }
}

/// The schema at the end of a path.
fn find(schema: &RefOr<Schema>, path: &[&str], schemas: &Schemas) -> Option<RefOr<Schema>> {
    let Some((first, rest)) = path.split_first() else { return Some(schema.clone()) };
    match resolve(schema, schemas)? {
        Schema::Object(object) => find(object.properties.get(*first)?, rest, schemas),
        Schema::Array(array) if first.parse::<usize>().is_ok() => match &array.items {
            ArrayItems::RefOrSchema(items) => find(items, rest, schemas),
            ArrayItems::False => None,
        },
        Schema::AllOf(all) => all.items.iter().find_map(|item| find(item, path, schemas)),
        Schema::OneOf(one) => one.items.iter().find_map(|item| find(item, path, schemas)),
        Schema::AnyOf(any) => any.items.iter().find_map(|item| find(item, path, schemas)),
        _ => None,
    }
}

/// Whether a text is among the values.
fn takes_text(schema: &RefOr<Schema>, schemas: &Schemas) -> bool {
    match resolve(schema, schemas) {
        Some(Schema::Object(object)) => match &object.schema_type {
            SchemaType::Type(kind) => *kind == Type::String,
            SchemaType::Array(kinds) => kinds.contains(&Type::String),
            SchemaType::AnyValue => false,
        },
        Some(Schema::OneOf(one)) => one.items.iter().any(|item| takes_text(item, schemas)),
        Some(Schema::AnyOf(any)) => any.items.iter().any(|item| takes_text(item, schemas)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modes::{GenerationMode, ImageFusion, Inpainting, TextImageFusion, TextToImage};

    #[test]
    fn texts_are_told_from_numbers_and_structures() {
        let schema = FormSchema::of::<<TextToImage as GenerationMode>::Body>();
        for name in ["prompt", "negative_prompt", "scheduler", "prior.kind", "webhook.url", "user", "style"] {
            assert!(schema.is_text(name), "{name}");
        }
        for name in
            ["n", "seed", "steps", "prior", "prior.steps", "eta", "quantize_latents", "webhook", "embed_metadata"]
        {
            assert!(!schema.is_text(name), "{name}");
        }
        let schema = FormSchema::of::<<Inpainting as GenerationMode>::Body>();
        assert!(!schema.is_text("feather") && schema.is_text("mask"), "a mask is base64 or a URL");
    }

    #[test]
    fn fields_of_lists_are_found_by_index() {
        let schema = FormSchema::of::<<TextImageFusion as GenerationMode>::Body>();
        assert!(schema.is_text("inputs.0.image") && schema.is_text("inputs.1.prompt"));
        assert!(!schema.is_text("inputs.1.weight") && !schema.is_text("inputs"));
        let schema = FormSchema::of::<<ImageFusion as GenerationMode>::Body>();
        assert!(!schema.is_text("weight") && !schema.is_text("weights"), "fields that only forms have");
    }
}

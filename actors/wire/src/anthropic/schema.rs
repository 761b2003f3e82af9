//! JSON schemas as Anthropic accepts them.

use crate::json::{Value, Writer};

/// Keywords that structured output refuses (Anthropic "Structured outputs", "JSON Schema limitations", read 2026-11).
/// Leaving them out only widens what the schema allows.
const REFUSED: [&str; 12] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "patternProperties",
];

/// Writes a tool's parameters as an `input_schema`: always an object with properties, everything else as it stands.
pub(super) fn write_input_schema(out: &mut Writer, parameters: Option<Value<'_>>) {
    let Some(schema) = parameters.filter(|schema| schema.is_object()) else {
        out.raw(r#"{"type":"object","properties":{}}"#);
        return;
    };
    let typed = schema.get("type").is_some_and(|kind| kind.is("object"));
    if typed && schema.get("properties").is_some() {
        out.raw(schema.raw());
        return;
    }
    out.open_object().field("type", "object");
    let mut properties = false;
    for (key, value) in schema.members() {
        if key.is("type") {
            continue;
        }
        properties |= key.is("properties");
        out.key(&key.as_str().unwrap_or_default()).raw(value.raw());
    }
    if !properties {
        out.key("properties").raw("{}");
    }
    out.close_object();
}

/// Writes a schema for structured output: closed objects, without the keywords that are refused.
pub(super) fn write_output_schema(out: &mut Writer, schema: Value<'_>) {
    if !schema.is_object() {
        out.raw(schema.raw());
        return;
    }
    out.open_object();
    for (key, value) in schema.members() {
        let name = key.as_str().unwrap_or_default();
        match name.as_ref() {
            name if REFUSED.contains(&name) => {}
            // Only "may be empty" and "must not be" can be said of an array.
            "minItems" if value.as_count().is_none_or(|count| count > 1) => {}
            "additionalProperties" => {}
            "properties" | "$defs" | "definitions" if value.is_object() => {
                out.key(&name).open_object();
                for (key, inner) in value.members() {
                    out.key(&key.as_str().unwrap_or_default());
                    write_output_schema(out, inner);
                }
                out.close_object();
            }
            "items" | "not" | "if" | "then" | "else" if value.is_object() => {
                out.key(&name);
                write_output_schema(out, value);
            }
            "anyOf" | "allOf" | "oneOf" | "prefixItems" if value.is_array() => {
                out.key(&name).open_array();
                for inner in value.items() {
                    write_output_schema(out, inner);
                }
                out.close_array();
            }
            _ => {
                out.raw_field(&name, value.raw());
            }
        }
    }
    let object = schema
        .get("type")
        .is_some_and(|kind| kind.is("object") || kind.items().any(|kind| kind.is("object")));
    if object || schema.get("properties").is_some() {
        out.raw_field("additionalProperties", "false");
    }
    out.close_object();
}

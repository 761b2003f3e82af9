//! Builds a value that is valid against a JSON schema, for structured output and tool arguments.
//!
//! Covers the part of JSON Schema that both providers accept for strict schemas: types, `properties`, `required`,
//! `items`, `enum`, `const`, `anyOf`/`oneOf`/`allOf`, `$ref` into the same document, bounds and common formats.

use serde_json::{Map, Value, json};

/// Schemas nested deeper than this end in `null`; recursive schemas would not end otherwise.
const MAX_DEPTH: usize = 12;

/// Returns an instance of `schema`; an empty object where nothing is asked for.
pub(crate) fn instance(schema: &Value) -> Value {
    build(schema, schema, "value", 0)
}

fn build(schema: &Value, root: &Value, name: &str, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(target.trim_start_matches('#')).unwrap_or(&Value::Null);
        return build(target, root, name, depth + 1);
    }
    for fixed in ["const", "default"] {
        if let Some(value) = schema.get(fixed) {
            return value.clone();
        }
    }
    for list in ["enum", "examples"] {
        if let Some(value) = schema.get(list).and_then(|list| list.get(0)) {
            return value.clone();
        }
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(choice).and_then(|list| list.get(0)) {
            return build(first, root, name, depth + 1);
        }
    }
    let kind = schema.get("type").and_then(|kind| {
        // A nullable type is a list of types; the first is the interesting one.
        kind.as_str().or_else(|| kind.get(0).and_then(Value::as_str))
    });
    match kind.unwrap_or(if schema.get("items").is_some() { "array" } else { "object" }) {
        "string" => string(schema, name),
        "integer" => json!(number(schema, 1.0).ceil() as i64),
        "number" => json!(number(schema, 1.5)),
        "boolean" => json!(true),
        "null" => Value::Null,
        "array" => array(schema, root, name, depth),
        _ => object(schema, root, depth),
    }
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return json!({}) };
    let required: Option<Vec<&str>> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect());
    let mut fields = Map::new();
    for (key, field) in properties {
        // Optional fields are left out deep down, which ends most recursive schemas early.
        let is_wanted =
            required.as_ref().is_none_or(|required| required.contains(&key.as_str())) || depth < 2;
        if is_wanted {
            fields.insert(key.clone(), build(field, root, key, depth + 1));
        }
    }
    Value::Object(fields)
}

fn array(schema: &Value, root: &Value, name: &str, depth: usize) -> Value {
    let count = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(0, 16);
    let Some(items) = schema.get("items") else { return json!([]) };
    (0..count).map(|_| build(items, root, name, depth + 1)).collect()
}

fn string(schema: &Value, name: &str) -> Value {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-15".to_owned(),
        Some("date-time") => "2026-01-15T12:00:00Z".to_owned(),
        Some("time") => "12:00:00Z".to_owned(),
        Some("email") => "user@example.com".to_owned(),
        Some("uri" | "url") => "https://example.com/".to_owned(),
        Some("uuid") => "00000000-0000-4000-8000-000000000000".to_owned(),
        Some("ipv4") => "192.0.2.1".to_owned(),
        _ => format!("sample {}", name.replace('_', " ")),
    };
    let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0).min(4096);
    let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
    let padded = text.chars().chain(std::iter::repeat_n('x', usize::try_from(least).unwrap_or(0)));
    let wanted = (text.chars().count() as u64).max(least).min(most);
    Value::String(padded.take(usize::try_from(wanted).unwrap_or(usize::MAX)).collect())
}

fn number(schema: &Value, wanted: f64) -> f64 {
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let least = bound("minimum").or(bound("exclusiveMinimum").map(|least| least + 1.0));
    let most = bound("maximum").or(bound("exclusiveMaximum").map(|most| most - 1.0));
    let value = least.map_or(wanted, |least| wanted.max(least));
    most.map_or(value, |most| value.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_satisfy_their_schema() {
        let cases = [
            (json!({"type": "object", "properties": {}}), json!({})),
            (json!({}), json!({})),
            (
                json!({"type": "object", "required": ["city", "unit"], "properties": {
                    "city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "days": {"type": "integer", "minimum": 3}}}),
                json!({"city": "sample city", "unit": "c", "days": 3}),
            ),
            (json!({"type": ["string", "null"], "maxLength": 3}), json!("sam")),
            (
                json!({"type": "array", "minItems": 2, "items": {"type": "number", "maximum": 0.5}}),
                json!([0.5, 0.5]),
            ),
            (json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "boolean"}}}), json!(true)),
            (json!({"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}), json!("2026-01-15")),
        ];
        for (schema, expected) in cases {
            assert_eq!(instance(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn a_recursive_schema_ends() {
        let schema = json!({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}});
        assert!(instance(&schema).to_string().len() < 1000);
    }
}

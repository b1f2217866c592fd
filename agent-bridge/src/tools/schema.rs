//! Whether the arguments of a call have the shape that its tool declares: the part of JSON Schema (draft 2020-12) that
//! tools are declared with. Owns the words that tell a model what is wrong; other keywords are the tool's to check.
//! PURE.

use serde_json::Value;

/// Values inside values. Deeper ones are refused.
const DEPTH_MAX: usize = 16;
/// Letters of a property's name that are repeated to the model.
const NAME_CHARS_MAX: usize = 40;

/// Whether this declares the arguments of a tool: an object.
pub fn is_of_an_object(schema: &Value) -> bool {
    schema["type"] == "object"
        && (schema["properties"].is_object() || schema["properties"].is_null())
}

/// Ok, or what is wrong in one sentence.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    checked(schema, value, "the arguments", 0)
}

fn checked(schema: &Value, value: &Value, name: &str, depth: usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("{name} is nested too deeply"));
    }
    if !has_type(&schema["type"], value) {
        return Err(format!("{name} must be of type {}", schema["type"]));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return Err(format!("{name} must be one of {}", schema["enum"]));
    }
    match value {
        Value::String(text) => {
            let length = text.chars().count() as u64;
            within(
                schema,
                "minLength",
                "maxLength",
                length as f64,
                name,
                "letters",
            )
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::MAX);
            within(schema, "minimum", "maximum", number, name, "")
        }
        Value::Array(items) => {
            within(
                schema,
                "minItems",
                "maxItems",
                items.len() as f64,
                name,
                "items",
            )?;
            let of_each = &schema["items"];
            let mut items = items.iter().filter(|_| of_each.is_object());
            items.try_for_each(|item| checked(of_each, item, name, depth + 1))
        }
        Value::Object(fields) => {
            let required = schema["required"].as_array();
            let names = required.into_iter().flatten().filter_map(Value::as_str);
            for wanted in names {
                if !fields.contains_key(wanted) {
                    return Err(format!("`{}` is missing", shown(wanted)));
                }
            }
            for (key, field) in fields {
                match &schema["properties"][key] {
                    Value::Null if schema["additionalProperties"] == false => {
                        return Err(format!("there is no `{}`", shown(key)));
                    }
                    Value::Null => {}
                    property => checked(property, field, &format!("`{}`", shown(key)), depth + 1)?,
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    match wanted {
        Value::String(wanted) => is_a(wanted, value),
        Value::Array(any) => any
            .iter()
            .filter_map(Value::as_str)
            .any(|one| is_a(one, value)),
        _ => true,
    }
}

fn is_a(wanted: &str, value: &Value) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    }
}

fn within(
    schema: &Value,
    least: &str,
    most: &str,
    found: f64,
    name: &str,
    unit: &str,
) -> Result<(), String> {
    let says = |words: &str, limit: f64| {
        Err(format!("{name} must be {words} {limit} {unit}")
            .trim_end()
            .to_owned())
    };
    match (schema[least].as_f64(), schema[most].as_f64()) {
        (Some(least), _) if found < least => says("at least", least),
        (_, Some(most)) if found > most => says("at most", most),
        _ => Ok(()),
    }
}

fn shown(name: &str) -> String {
    let plain = name.chars().filter(|c| !c.is_control() && *c != '`');
    plain.take(NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_are_held_to_what_the_tool_declares() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": { "type": "string", "maxLength": 5 },
                "days": { "type": "integer", "minimum": 1, "maximum": 7 },
                "unit": { "enum": ["c", "f"] },
                "tags": { "type": "array", "items": { "type": "string" }, "maxItems": 2 },
                "both": { "type": ["string", "null"] },
            },
            "required": ["city"],
            "additionalProperties": false,
        });
        assert!(is_of_an_object(&schema));
        for (arguments, wanted) in [
            (json!({ "city": "Rome" }), None),
            (
                json!({ "city": "Rome", "days": 3, "unit": "c", "tags": ["a"], "both": null }),
                None,
            ),
            (json!({ "city": "Rome", "days": 3.0 }), None),
            (json!({}), Some("`city` is missing")),
            (json!([]), Some("the arguments must be of type \"object\"")),
            (json!("x"), Some("the arguments must be of type \"object\"")),
            (
                json!({ "city": 1 }),
                Some("`city` must be of type \"string\""),
            ),
            (
                json!({ "city": "Madrid" }),
                Some("`city` must be at most 5 letters"),
            ),
            (
                json!({ "city": "a", "days": 0 }),
                Some("`days` must be at least 1"),
            ),
            (
                json!({ "city": "a", "days": 1.5 }),
                Some("`days` must be of type \"integer\""),
            ),
            (
                json!({ "city": "a", "unit": "k" }),
                Some("`unit` must be one of [\"c\",\"f\"]"),
            ),
            (
                json!({ "city": "a", "tags": [1] }),
                Some("`tags` must be of type \"string\""),
            ),
            (
                json!({ "city": "a", "tags": ["", "", ""] }),
                Some("`tags` must be at most 2 items"),
            ),
            (
                json!({ "city": "a", "both": 1 }),
                Some("`both` must be of type [\"string\",\"null\"]"),
            ),
            (json!({ "city": "a", "x`\n": 1 }), Some("there is no `x`")),
        ] {
            assert_eq!(
                check(&schema, &arguments).err().as_deref(),
                wanted,
                "{arguments}"
            );
        }
    }

    #[test]
    fn a_deep_value_ends() {
        let mut schema = json!({ "type": "array" });
        let mut value = json!([]);
        for _ in 0..100 {
            schema = json!({ "type": "array", "items": schema });
            value = json!([value]);
        }
        assert!(check(&schema, &value).is_err());
        assert!(!is_of_an_object(&schema));
    }
}

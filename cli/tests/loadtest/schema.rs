//! Checks a document against a JSON Schema, strictly: a keyword that is not known here is an error, so that the schema cannot
//! promise what nobody checks.

use serde_json::Value;

/// Everything that is wrong with the document, each with its place.
pub(crate) fn violations(schema: &Value, document: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, document, "$", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().expect("a schema is an object") {
        let complaint = match keyword.as_str() {
            "$schema" | "title" | "description" | "$defs" => None,
            "$ref" => {
                let path = rule.as_str().unwrap().strip_prefix('#').unwrap();
                let target = root.pointer(path).unwrap_or_else(|| panic!("no {path} in the schema"));
                check(root, target, value, at, found);
                None
            }
            "type" => {
                let types: Vec<&str> = match rule {
                    Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
                    one => vec![one.as_str().unwrap()],
                };
                (!types.iter().any(|name| is(name, value))).then(|| format!("is no {}", types.join(" or ")))
            }
            "const" => (rule != value).then(|| format!("is not {rule}")),
            "enum" => (!rule.as_array().unwrap().contains(value)).then(|| format!("is none of {rule}")),
            "minimum" => value.as_f64().filter(|n| *n < rule.as_f64().unwrap()).map(|_| format!("is below {rule}")),
            "anyOf" => {
                let fits = |choice: &Value| {
                    let mut inside = Vec::new();
                    check(root, choice, value, at, &mut inside);
                    inside.is_empty()
                };
                (!rule.as_array().unwrap().iter().any(fits)).then(|| "fits no choice".to_owned())
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, item, &format!("{at}[{index}]"), found);
                }
                None
            }
            "required" => {
                let names = rule.as_array().unwrap().iter().filter_map(Value::as_str);
                let missing: Vec<&str> = names.filter(|name| value.is_object() && value.get(name).is_none()).collect();
                (!missing.is_empty()).then(|| format!("lacks {}", missing.join(", ")))
            }
            "properties" | "additionalProperties" => {
                members(root, schema, keyword, value, at, found);
                None
            }
            other => panic!("the schema uses {other}, which nobody checks"),
        };
        found.extend(complaint.map(|complaint| format!("{at} {complaint}: {value}")));
    }
}

fn members(root: &Value, schema: &Value, keyword: &str, value: &Value, at: &str, found: &mut Vec<String>) {
    for (name, member) in value.as_object().into_iter().flatten() {
        let place = format!("{at}.{name}");
        let own = schema["properties"].get(name);
        match (keyword, own, &schema["additionalProperties"]) {
            ("properties", Some(rule), _) => check(root, rule, member, &place, found),
            ("additionalProperties", None, Value::Bool(false)) => found.push(format!("{place} is not in the schema")),
            ("additionalProperties", None, rule) => check(root, rule, member, &place, found),
            _ => {}
        }
    }
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type {other}"),
    }
}

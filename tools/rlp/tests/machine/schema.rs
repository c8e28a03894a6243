// SPDX-License-Identifier: GPL-2.0

//! The part of JSON Schema that Documentation/schema uses. A keyword that is not known here is an
//! error, so that no rule is left unchecked.

use serde_json::Value;

/// Returns what is wrong with a value.
pub(crate) fn errors(schema: &Value, value: &Value) -> Vec<String> {
    check(schema, schema, value, "")
}

fn check(all: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let rules = schema.as_object().expect("a schema is an object");
    let keyword = |(keyword, rule): (&String, &Value)| {
        let errors = match keyword.as_str() {
            "properties" => {
                let rules = rule.as_object().unwrap().iter();
                return rules
                    .filter_map(|(name, schema)| Some((name, schema, value.get(name)?)))
                    .flat_map(|(name, schema, value)| {
                        check(all, schema, value, &format!("{at}/{name}"))
                    })
                    .collect();
            }
            "items" => {
                let values = value.as_array().into_iter().flatten().enumerate();
                return values
                    .flat_map(|(nr, value)| check(all, rule, value, &format!("{at}/{nr}")))
                    .collect();
            }
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                return check(all, &all["$defs"][name], value, at);
            }
            name => plain(all, schema, name, rule, value, at),
        };
        errors
            .into_iter()
            .map(|error| format!("{at}: {error}"))
            .collect::<Vec<_>>()
    };
    rules.iter().flat_map(keyword).collect()
}

/// The keywords that concern the value itself.
fn plain(
    all: &Value,
    schema: &Value,
    keyword: &str,
    rule: &Value,
    value: &Value,
    at: &str,
) -> Vec<String> {
    let unless = |is_right: bool, error: String| if is_right { vec![] } else { vec![error] };
    match keyword {
        "$comment" | "$schema" | "$defs" | "title" | "description" => vec![],
        "const" => unless(value == rule, format!("{value} is not {rule}")),
        "enum" => unless(
            rule.as_array().unwrap().contains(value),
            format!("{value} is not in {rule}"),
        ),
        "minimum" => unless(
            value
                .as_f64()
                .is_none_or(|number| number >= rule.as_f64().unwrap()),
            format!("{value} is less than {rule}"),
        ),
        "type" => {
            let kinds = match rule {
                Value::Array(kinds) => &kinds[..],
                kind => std::slice::from_ref(kind),
            };
            unless(
                kinds
                    .iter()
                    .any(|kind| is_kind(value, kind.as_str().unwrap())),
                format!("{value} is no {rule}"),
            )
        }
        "oneOf" => {
            let schemas = rule.as_array().unwrap().iter();
            let results: Vec<_> = schemas
                .map(|schema| check(all, schema, value, at))
                .collect();
            let fitting = results.iter().filter(|errors| errors.is_empty()).count();
            unless(
                fitting == 1,
                format!("{fitting} of oneOf fit: {results:#?}"),
            )
        }
        "required" => rule
            .as_array()
            .unwrap()
            .iter()
            .filter(|name| value.is_object() && value.get(name.as_str().unwrap()).is_none())
            .map(|name| format!("{name} is missing"))
            .collect(),
        "additionalProperties" => {
            assert_eq!(*rule, Value::Bool(false), "only false is supported");
            let names = value
                .as_object()
                .into_iter()
                .flat_map(|object| object.keys());
            names
                .filter(|name| schema["properties"].get(name).is_none())
                .map(|name| format!("{name} is not in the schema"))
                .collect()
        }
        other => panic!("the schema has a keyword that is not supported: {other}"),
    }
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the schema has a type that is not supported: {other}"),
    }
}

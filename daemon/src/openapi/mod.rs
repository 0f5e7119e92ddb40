//! The API described in OpenAPI 3.1: one document for buyers, and one for operators at the admin listener, so that the first
//! says nothing of the second.
//!
//! Built once from what the code itself goes by – routes, outcomes, limits – so that it cannot say otherwise. Tests hold
//! routes and outcomes against it in both directions, and every buyer of the end-to-end tests checks their answers by it.

mod admin;
mod operations;
mod problems;
mod schemas;

use bytes::Bytes;
use flash_core::limits::{BODY_MAX_BYTES, HEAD_MAX_BYTES};
use serde_json::{Value, json};
use std::sync::LazyLock;

static BUYERS: LazyLock<Bytes> = LazyLock::new(|| bytes(&buyers_document()));
static OPERATORS: LazyLock<Bytes> = LazyLock::new(|| bytes(&admin::document()));

/// The document of the API.
#[must_use]
pub fn buyers() -> Bytes {
    BUYERS.clone()
}

/// The document of the admin plane.
#[must_use]
pub fn operators() -> Bytes {
    OPERATORS.clone()
}

fn bytes(document: &Value) -> Bytes {
    Bytes::from(document.to_string())
}

fn buyers_document() -> Value {
    let description = format!(
        "A flash sale that cannot oversell. Ids are decimal strings, bodies are JSON of at most {BODY_MAX_BYTES} bytes in a request \
         whose head has at most {HEAD_MAX_BYTES} bytes, and nothing unknown is accepted. Whatever is refused is a problem (RFC 9457): decide by its \
         `error`. An answer with `Retry-After` is not final. A path that does not exist is 404 `NOT_FOUND`, another method 405 `METHOD_NOT_ALLOWED` with `Allow`; \
         what is no HTTP gets a bare 400 or 431. Every request has an id, `X-Request-Id`: send one of 8 to 64 letters, digits, `.`, `_` or `-`, or get one."
    );
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "Flash sale",
            "version": env!("CARGO_PKG_VERSION"),
            "description": description,
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/", "description": "Where this document comes from." }],
        "tags": [
            { "name": "buying", "description": "Reserving units." },
            { "name": "settling", "description": "Paying for a reservation, or giving it back." },
            { "name": "looking", "description": "Nothing changes." },
        ],
        "security": [],
        "paths": operations::paths(),
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": { "signature": signature() },
        },
    })
}

fn signature() -> Value {
    json!({
        "type": "apiKey",
        "in": "header",
        "name": "Flash-Signature",
        "description": "`t=SECONDS,v1=HEX`: HEX is HMAC-SHA256 of `SECONDS.BODY` with a shared secret (`webhook.secret`). Several `v1` may be given; the time must be near the server's.",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::extras;
    use crate::meters::Endpoint;
    use flash_core::outcome::Refusal;
    use std::collections::{BTreeMap, BTreeSet};

    fn read(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    /// Method and path of every operation.
    fn operations(document: &Value) -> BTreeSet<(String, String)> {
        let paths = document["paths"].as_object().unwrap().iter();
        let all = paths.flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(|method| (method.to_ascii_uppercase(), path.clone()))
        });
        all.collect()
    }

    #[test]
    fn every_route_is_in_the_document_and_nothing_else() {
        let described = operations(&read(&buyers()));
        let mut routed: BTreeSet<(String, String)> = BTreeSet::new();
        for (endpoint, _, path) in Endpoint::ROUTES.into_iter().filter(|(endpoint, ..)| *endpoint != Endpoint::Other) {
            let request = path.replace("{skuId}", "1").replace("{orderId}", "2");
            let (found, methods) = crate::http::route(&request).unwrap();
            assert_eq!(found, endpoint, "{path}");
            routed.extend(methods.iter().map(|method| (method.to_string(), path.to_owned())));
        }
        assert_eq!(described, routed);
        let operators = operations(&read(&operators()));
        assert_eq!(operators, crate::admin::routes());
        assert!(
            described.iter().all(|(_, path)| path == "/openapi.json" || !operators.iter().any(|(_, of)| of == path))
        );
    }

    #[test]
    fn every_outcome_is_in_the_document_and_nothing_else() {
        let document = read(&buyers());
        let known: BTreeSet<(u64, String)> = Refusal::one_of_each()
            .iter()
            .map(|refusal| (u64::from(refusal.advice().status), refusal.advice().code.to_owned()))
            .filter(|(_, code)| code != "METHOD_NOT_ALLOWED")
            .collect();
        let mut described = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let examples = &response["content"]["application/problem+json"]["examples"];
                    for example in examples.as_object().into_iter().flat_map(|examples| examples.values()) {
                        let body = &example["value"];
                        assert_eq!(body["status"].as_u64().unwrap().to_string(), *status);
                        described
                            .insert((body["status"].as_u64().unwrap(), body["error"].as_str().unwrap().to_owned()));
                    }
                }
            }
        }
        assert_eq!(described, known);
        let codes = document["components"]["schemas"]["Problem"]["properties"]["error"]["enum"].as_array().unwrap();
        let codes: BTreeSet<&str> = codes.iter().filter_map(Value::as_str).collect();
        assert_eq!(codes, Refusal::one_of_each().iter().map(|refusal| refusal.advice().code).collect());
    }

    const DOC: &str = "docs/http-api.md";
    const BEGIN: &str = "<!-- begin: written by FLASH_WRITE_DOCS=1 cargo test -p flashd --lib openapi -->\n";
    const END: &str = "<!-- end -->\n";

    /// The table of the documentation: one row per status and code.
    fn table() -> String {
        #[derive(Default)]
        struct Row {
            text: &'static str,
            extras: BTreeSet<String>,
            again: Vec<bool>,
        }
        let mut rows: BTreeMap<(u16, &str), Row> = BTreeMap::new();
        for refusal in Refusal::one_of_each() {
            let advice = refusal.advice();
            let fresh = || Row { text: advice.message, ..Row::default() };
            let row = rows.entry((advice.status, advice.code)).or_insert_with(fresh);
            row.extras.extend(extras(&refusal).keys().map(|name| format!("`{name}`")));
            row.again.push(advice.retry_after_s.is_some());
        }
        let mut table =
            "| status | `error` | meaning | `Retry-After` | more members |\n|---|---|---|---|---|\n".to_owned();
        for ((status, code), Row { text, extras, again }) in rows {
            let again = if again.iter().all(|again| *again) {
                "yes"
            } else if again.contains(&true) {
                "if"
            } else {
                ""
            };
            let extras = extras.into_iter().collect::<Vec<_>>().join(", ");
            table += &format!("| {status} | `{code}` | {text} | {again} | {extras} |\n");
        }
        table
    }

    #[test]
    fn the_documentation_has_exactly_these_outcomes() {
        crate::made_from_code::assert_documented(DOC, (BEGIN, END), &table());
    }

    /// Every `$ref` leads somewhere, every schema is used, and no operation has another's name.
    #[test]
    fn nothing_dangles() {
        for document in [read(&buyers()), read(&operators())] {
            let text = document.to_string();
            let refs: BTreeSet<&str> =
                text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
            assert!(!refs.is_empty());
            for pointer in &refs {
                assert!(document.pointer(pointer).is_some(), "{pointer}");
            }
            for name in document["components"]["schemas"].as_object().unwrap().keys() {
                assert!(refs.contains(format!("/components/schemas/{name}").as_str()), "{name} is used nowhere");
            }
            let names: Vec<&str> =
                text.split("\"operationId\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
            let links = if text.contains("\"links\"") { 3 } else { 0 };
            let distinct: BTreeSet<&&str> = names.iter().collect();
            assert_eq!(distinct.len() + links, names.len(), "{names:?}");
        }
    }
}

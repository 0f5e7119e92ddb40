//! The admin plane's own document: pages and verbs of one process, for operators and their tools.

use super::schemas;
use crate::admin;
use crate::logs::FILTER_MAX_BYTES;
use flash_core::outcome::Refusal;
use flash_core::stats::VERSION;
use serde_json::{Map, Value, json};

pub(super) fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": "Flash sale: admin plane of one daemon",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Looking needs no token, commanding does. What is commanded concerns this process and lasts until it ends. Nothing unknown is accepted.",
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/", "description": "Where this document comes from." }],
        "tags": [{ "name": "looking" }, { "name": "commanding" }],
        "security": [],
        "paths": paths(),
        "components": {
            "schemas": {
                "Problem": problem(),
                "Standing": {
                    "type": "object",
                    "required": ["paused", "draining", "inFlight"],
                    "properties": {
                        "paused": { "type": ["string", "null"], "description": "Why, if it is." },
                        "draining": { "type": "boolean" },
                        "inFlight": { "type": ["integer", "null"], "minimum": 0, "description": "null: a worker, which sells nothing." },
                    },
                },
                "LogFilter": {
                    "type": "object",
                    "required": ["filter"],
                    "additionalProperties": false,
                    "properties": { "filter": {
                        "type": "string", "maxLength": FILTER_MAX_BYTES, "pattern": filter_pattern(),
                    } },
                },
            },
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "description": "`admin.token`" } },
        },
    })
}

fn paths() -> Value {
    let page = |name: &str, summary: &str, responses: Value| json!({ "operationId": name, "tags": ["looking"], "summary": summary, "responses": responses });
    let ready = json!({
        "type": "object",
        "required": ["ready", "reasons"],
        "properties": { "ready": { "type": "boolean" }, "reasons": { "type": "object", "additionalProperties": { "type": "string" } } },
    });
    let description = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
    let described = page("getDescription", "This document", json!({ "200": told(&description) }));
    let mut head = page("getDescriptionHead", "Its length", json!({ "200": { "description": "Without a body." } }));
    head["tags"] = described["tags"].clone();
    let stats = json!({
        "type": "object",
        "description": "Documented in docs/admin.md; a reader takes what it knows.",
        "required": ["version", "build", "role", "instance", "atMs", "uptimeMs", "ready", "draining"],
        "properties": { "version": { "const": VERSION } },
    });
    let skus = json!({
        "name": "skus", "in": "query", "required": false, "description": "How many SKUs are listed at most.",
        "schema": { "type": "integer", "minimum": 0, "maximum": admin::SKUS_MAX, "default": admin::SKUS_DEFAULT },
    });
    let mut look = page("getStats", "All that this process knows", with_problems(&told(&stats), &[400]));
    look["parameters"] = json!([skus]);
    let metrics = json!({ "200": { "description": "Prometheus text.", "content": { "text/plain": { "schema": { "type": "string" } } } } });
    let alive = json!({ "type": "object", "required": ["status"], "properties": { "status": { "const": "ok" } } });
    json!({
        "/openapi.json": { "get": described, "head": head },
        "/livez": { "get": page("getLive", "The process answers", json!({ "200": told(&alive) })) },
        "/readyz": { "get": page("getReady", "Whether it may be sent buyers", json!({ "200": told(&ready), "503": told(&ready) })) },
        "/metrics": { "get": page("getMetrics", "Metrics", metrics) },
        "/stats": { "get": look },
        "/control/pause": { "post": verb("pause", "Sell nothing through this daemon", Some((&pause(), true))) },
        "/control/resume": { "post": verb("resume", "End a pause and a drain", Some((&nothing(), false))) },
        "/control/drain": { "post": drain() },
        "/control/log-filter": {
            "get": page("getLogFilter", "What is logged", json!({ "200": told(&schemas::of("LogFilter")) })),
            "put": log_filter(),
        },
    })
}

fn told(schema: &Value) -> Value {
    json!({ "description": "As asked.", "content": { "application/json": { "schema": schema } } })
}

fn pause() -> Value {
    json!({
        "type": "object",
        "required": ["reason"],
        "additionalProperties": false,
        "properties": { "reason": {
            "type": "string", "minLength": 1, "maxLength": admin::REASON_MAX, "pattern": reason_pattern(),
            "description": "Shown to other operators.",
        } },
    })
}

/// No control characters, and not only white space.
fn reason_pattern() -> String {
    let control = "\\u0000-\\u001F\\u007F-\\u009F";
    format!("^[^{control}]*[^\\s{control}][^{control}]*$")
}

/// A level for everything, or levels by module.
fn filter_pattern() -> String {
    let level = "(off|error|warn|info|debug|trace)";
    let part = format!("([a-z][a-z0-9_]*(::[a-z][a-z0-9_]*)*=)?{level}");
    format!("^{part}(,{part})*$")
}

fn nothing() -> Value {
    json!({ "type": "object", "additionalProperties": false })
}

fn drain() -> Value {
    let mut drain = verb("drain", "Out of service; with exit=true the process ends", Some((&nothing(), false)));
    drain["parameters"] = json!([{ "name": "exit", "in": "query", "required": false, "schema": { "type": "boolean", "default": false } }]);
    drain
}

fn log_filter() -> Value {
    let mut put = verb("setLogFilter", "Change what is logged", Some((&schemas::of("LogFilter"), true)));
    put["responses"]["200"] = told(&schemas::of("LogFilter"));
    put
}

/// A command. Its body is small JSON, as the API's bodies are.
fn verb(name: &str, summary: &str, body: Option<(&Value, bool)>) -> Value {
    let standing = told(&schemas::of("Standing"));
    let mut verb = json!({
        "operationId": name,
        "tags": ["commanding"],
        "summary": summary,
        "security": [{ "token": [] }],
        "responses": with_problems(&standing, &[400, 401, 403, 408, 409, 413, 415, 417]),
    });
    if let Some((schema, required)) = body {
        verb["requestBody"] = json!({ "required": required, "content": { "application/json": { "schema": schema } } });
    }
    verb
}

/// A 200 and the problems of these statuses.
fn with_problems(ok: &Value, statuses: &[u16]) -> Value {
    let mut responses: Map<String, Value> = Map::from_iter([("200".to_owned(), ok.clone())]);
    for status in statuses {
        let codes: Vec<&str> = known().into_iter().filter(|(of, _)| of == status).map(|(_, code)| code).collect();
        let named = json!({ "properties": { "status": { "const": status }, "error": { "enum": codes } } });
        let schema = json!({ "allOf": [schemas::of("Problem"), named] });
        let content = json!({ "application/problem+json": { "schema": schema } });
        let text = codes.iter().map(|code| format!("`{code}`")).collect::<Vec<_>>().join(", ");
        responses.insert(status.to_string(), json!({ "description": text, "content": content }));
    }
    Value::Object(responses)
}

/// Statuses and codes of the admin plane: what the API says of a request that is wrong, and its own.
fn known() -> Vec<(u16, &'static str)> {
    let mut known: Vec<(u16, &str)> = Vec::new();
    for refusal in [
        Refusal::Validation(String::new()),
        Refusal::RequestTimeout,
        Refusal::PayloadTooLarge,
        Refusal::UnsupportedMediaType,
        Refusal::ExpectationFailed,
        Refusal::RouteNotFound,
        Refusal::MethodNotAllowed,
    ] {
        known.push((refusal.advice().status, refusal.advice().code));
    }
    known.extend(admin::PROBLEMS);
    known
}

fn problem() -> Value {
    let mut problem = schemas::problem();
    let codes: Vec<&str> = known().into_iter().map(|(_, code)| code).collect();
    let kept = ["type", "title", "status", "detail", "success", "error", "message"];
    if let Some(properties) = problem["properties"].as_object_mut() {
        properties.retain(|name, _| kept.contains(&name.as_str()));
        properties["error"] = json!({ "enum": codes });
    }
    problem
}

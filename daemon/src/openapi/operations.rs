//! What buyers, shops and payment providers can ask, operation by operation.

use super::{problems, schemas};
use crate::http;
use crate::meters::Endpoint;
use flash_core::ids::{OrderId, ReservationId};
use flash_core::stock::Receipt;
use serde_json::{Map, Value, json};

const ORDER: u64 = 383_006_771_100_254_208;
const RESERVED_AT_MS: u64 = 1_795_383_130_153;

/// The `paths` of the document.
pub(super) fn paths() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (endpoint, method, path) in Endpoint::ROUTES {
        let Some(mut operation) = describe(endpoint) else { continue };
        let mut responses = problems::of(endpoint);
        responses.extend(successes(endpoint));
        operation["responses"] = Value::Object(responses);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Endpoint::OpenApi = endpoint {
            item["head"] = head_of(&operation);
        }
        item[method.to_ascii_lowercase()] = operation;
    }
    Value::Object(paths)
}

/// The same without bodies.
fn head_of(operation: &Value) -> Value {
    let mut head = operation.clone();
    head["operationId"] = "getDescriptionHead".into();
    if let Some(responses) = head["responses"].as_object_mut() {
        for response in responses.values_mut().filter_map(Value::as_object_mut) {
            response.remove("content");
        }
    }
    head
}

/// Name, meaning, parameters and body; `None` for what is no operation.
fn describe(endpoint: Endpoint) -> Option<Value> {
    Some(match endpoint {
        Endpoint::Purchase => purchase(),
        Endpoint::Skus => json!({
            "operationId": "listSkus", "tags": ["looking"], "summary": "All that is on sale",
            "description": "Counters are as this daemon last heard of them; null: not yet.",
        }),
        Endpoint::Sku => json!({
            "operationId": "getSku", "tags": ["looking"], "summary": "One SKU, with counters as they are now",
            "parameters": [in_path("skuId", "SkuId", "1")],
        }),
        Endpoint::Orders => json!({
            "operationId": "listOrders", "tags": ["looking"], "summary": "A buyer's orders, newest first",
            "description": "As MySQL has them: one that was told a moment ago may be missing. No other parameter is taken, and none twice.",
            "parameters": [
                in_query("userId", true, &schemas::of("UserId")),
                in_query("limit", false, &json!({ "type": "integer", "minimum": 1, "maximum": http::PAGE_MAX, "default": http::PAGE_DEFAULT })),
                in_query("after", false, &schemas::of("OrderId")),
            ],
        }),
        Endpoint::Order => json!({
            "operationId": "getOrder", "tags": ["looking"], "summary": "One order with its history and payments",
            "description": "Never 404 for an order that was told: 202 until it is written down.",
            "parameters": [in_path("orderId", "OrderId", &ORDER.to_string())],
        }),
        Endpoint::Pay => json!({
            "operationId": "payOrder", "tags": ["settling"], "summary": "Tell that an order was paid for",
            "description": "May be repeated. If the hold has ended, the same units are reserved again if any are free (`replacesOrderId`); money that buys nothing is recorded as to be given back (`paymentStatus`).",
            "parameters": [in_path("orderId", "OrderId", &ORDER.to_string())],
            "requestBody": body("PayRequest", true, &json!({ "paymentId": "pi_1", "amount": 4900 })),
        }),
        Endpoint::Cancel => json!({
            "operationId": "cancelOrder", "tags": ["settling"], "summary": "Give a reservation back",
            "description": "May be repeated. With a `userId` the order must be that buyer's.",
            "parameters": [in_path("orderId", "OrderId", &ORDER.to_string())],
            "requestBody": body("CancelRequest", false, &json!({ "userId": "123" })),
        }),
        Endpoint::Webhook => json!({
            "operationId": "receiveNotice", "tags": ["settling"], "summary": "A payment provider's signed notice",
            "description": "Repeat it until it is answered 2xx. Whatever is settled is 200, also money that is to be given back.",
            "security": [{ "signature": [] }],
            "requestBody": body("Notice", true, &json!({
                "type": "payment.succeeded", "paymentId": "pi_1", "orderId": ORDER.to_string(), "amount": 4900,
            })),
        }),
        Endpoint::Health => json!({
            "operationId": "getHealth", "tags": ["looking"], "summary": "The process is sane",
            "description": "Whether it can sell is another question: `/readyz` of the admin listener.",
        }),
        Endpoint::OpenApi => json!({
            "operationId": "getDescription", "tags": ["looking"], "summary": "This document",
        }),
        Endpoint::Other => return None,
    })
}

fn purchase() -> Value {
    let key = json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "schema": schemas::of("IdempotencyKey"),
        "description": "Another way to send `idempotencyKey`. If both are there, they must be the same.",
    });
    let example = json!({ "userId": "123", "skuId": "1", "quantity": 1, "idempotencyKey": "optional-unique-key" });
    json!({
        "operationId": "purchase",
        "tags": ["buying"],
        "summary": "Reserve units of a SKU for a buyer",
        "description": "200 is told only after the order is in the log. The same key by the same buyer has the same answer for 24 hours, with `Idempotent-Replayed: true`; with another payload it is 422. After `OUTCOME_UNKNOWN`, a lost connection or a time-out send the same key again. A purchase without a key gets one, which `OUTCOME_UNKNOWN` names.",
        "parameters": [key],
        "requestBody": body("PurchaseRequest", true, &example),
    })
}

fn in_path(name: &str, schema: &str, example: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": schemas::of(schema), "example": example })
}

fn in_query(name: &str, required: bool, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "required": required, "schema": schema })
}

fn body(schema: &str, required: bool, example: &Value) -> Value {
    let content = json!({ "application/json": { "schema": schemas::of(schema), "example": example } });
    json!({ "required": required, "content": content })
}

/// What an operation answers when it does what was asked, by status.
fn successes(endpoint: Endpoint) -> Map<String, Value> {
    let order = ORDER.to_string();
    let one = |name: &str, text: &str, example: Value| {
        Map::from_iter([("200".to_owned(), answer(&schemas::of(name), text, Some(&example)))])
    };
    match endpoint {
        Endpoint::Purchase => {
            let mut won = answer(&schemas::of("Won"), "The units are held until `expiresAt`.", Some(&won()));
            won["headers"]["Idempotent-Replayed"] = replayed();
            won["links"] = links();
            Map::from_iter([("200".to_owned(), won)])
        }
        Endpoint::Skus => {
            let schema = json!({
                "type": "object", "required": ["skus"],
                "properties": { "skus": { "type": "array", "items": schemas::of("Sku") } },
            });
            let example = json!({ "skus": [sku()] });
            Map::from_iter([("200".to_owned(), answer(&schema, "In order of their ids.", Some(&example)))])
        }
        Endpoint::Sku => one("Sku", "The SKU.", sku()),
        Endpoint::Orders => {
            let next = json!({ "anyOf": [schemas::of("OrderId"), { "type": "null" }], "description": "`after` of the next page." });
            let schema = json!({
                "type": "object", "required": ["orders", "next"],
                "properties": { "orders": { "type": "array", "items": schemas::of("Order") }, "next": next },
            });
            let example = json!({ "orders": [reserved()], "next": null });
            Map::from_iter([("200".to_owned(), answer(&schema, "A page.", Some(&example)))])
        }
        Endpoint::Order => {
            let mut known = reserved();
            known["history"] = json!([{
                "state": "RESERVED", "at": RESERVED_AT_MS, "seq": 1, "delta": -1, "epoch": 1, "partition": 3, "offset": 41,
            }]);
            known["payments"] = json!([]);
            let pending =
                json!({ "orderId": order, "state": "PENDING", "message": "The order is being written down." });
            let mut later = answer(&schemas::of("Pending"), "It is on its way to MySQL.", Some(&pending));
            later["headers"]["Retry-After"] = schemas::retry_after(true);
            let mut both = one("OrderWithHistory", "The order.", known);
            both.insert("202".to_owned(), later);
            both
        }
        Endpoint::Pay => repeatable(one(
            "Confirmed",
            "The order is paid for.",
            json!({
                "success": true, "orderId": order, "state": "CONFIRMED", "paymentId": "pi_1", "amount": 4900,
                "message": "Payment received. The tickets are yours.",
            }),
        )),
        Endpoint::Cancel => repeatable(one(
            "Cancelled",
            "The units go back on sale.",
            json!({
                "success": true, "orderId": order, "state": "CANCELLED",
                "message": "The reservation was cancelled; its tickets go back on sale.",
            }),
        )),
        Endpoint::Webhook => one(
            "Received",
            "The notice is settled, or is about something else.",
            json!({
                "received": true, "status": "CONFIRMED", "paymentId": "pi_1", "paidOrderId": order, "orderId": order, "reason": null,
            }),
        ),
        Endpoint::Health => {
            one("Health", "It answers.", json!({ "status": "ok", "timestamp": RESERVED_AT_MS, "uptime": 81.5 }))
        }
        Endpoint::OpenApi => {
            let schema = json!({ "type": "object", "required": ["openapi", "info", "paths"] });
            Map::from_iter([("200".to_owned(), answer(&schema, "OpenAPI 3.1.", None))])
        }
        Endpoint::Other => Map::new(),
    }
}

fn answer(schema: &Value, text: &str, example: Option<&Value>) -> Value {
    let mut content = json!({ "schema": schema });
    if let Some(example) = example {
        content["example"] = example.clone();
    }
    json!({
        "description": text,
        "headers": { "X-Request-Id": schemas::request_id(true) },
        "content": { "application/json": content },
    })
}

fn repeatable(mut responses: Map<String, Value>) -> Map<String, Value> {
    if let Some(answer) = responses.get_mut("200") {
        answer["headers"]["Idempotent-Replayed"] = replayed();
    }
    responses
}

fn replayed() -> Value {
    json!({ "schema": { "const": "true" }, "description": "There if this answer was given before." })
}

/// What a buyer can do with an order that was told.
fn links() -> Value {
    let to =
        |operation: &str| json!({ "operationId": operation, "parameters": { "orderId": "$response.body#/orderId" } });
    json!({ "look": to("getOrder"), "pay": to("payOrder"), "cancel": to("cancelOrder") })
}

/// The very answer of a purchase.
fn won() -> Value {
    let receipt = Receipt {
        order_id: OrderId::new(ORDER),
        reservation_id: ReservationId::new(ORDER + 1),
        reserved_at_ms: RESERVED_AT_MS,
        expires_at_ms: RESERVED_AT_MS + 300_000,
    };
    serde_json::from_str(&http::won_body(&receipt, 3)).unwrap_or_default()
}

fn reserved() -> Value {
    json!({
        "orderId": ORDER.to_string(),
        "reservationId": (ORDER + 1).to_string(),
        "userId": "123",
        "skuId": "1",
        "state": "RESERVED",
        "quantity": 1,
        "unitPrice": "49.00",
        "total": "49.00",
        "reservedAt": RESERVED_AT_MS,
        "expiresAt": RESERVED_AT_MS + 300_000,
        "updatedAt": RESERVED_AT_MS,
    })
}

fn sku() -> Value {
    json!({
        "skuId": "1",
        "name": "Front rows",
        "price": "49.00",
        "priceMinor": 4900,
        "currency": "EUR",
        "capacity": 1000,
        "perUser": 4,
        "holdMs": 300_000,
        "opensAt": null,
        "closesAt": null,
        "paused": false,
        "available": 988,
        "held": 12,
        "sold": 0,
        "closing": 0,
    })
}

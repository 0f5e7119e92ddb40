//! The shapes that requests and answers are made of. Bounds come from `flash_core::limits`.

use super::problems;
use flash_core::limits::{
    CAPACITY_MAX, HOLD_MAX_MS, HOLD_MIN_MS, IDEMPOTENCY_KEY_MAX_BYTES, PAYMENT_ID_MAX_BYTES, PRICE_MAX_MINOR,
    QUANTITY_MAX,
};
use flash_core::payment::{AMOUNT_MAX_MINOR, PAYMENT_SUCCEEDED, RefundReason};
use serde_json::{Map, Value, json};

/// `$ref` of a schema.
pub(super) fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The header that says which request this was.
pub(super) fn request_id(required: bool) -> Value {
    json!({ "required": required, "schema": of("RequestId"), "description": "The request's id: the one it came with, else one made up." })
}

/// The header that says when to come back.
pub(super) fn retry_after(required: bool) -> Value {
    let schema = json!({ "type": "integer", "minimum": 1 });
    json!({ "required": required, "schema": schema, "description": "Seconds after which asking again makes sense." })
}

/// All of them, by name.
pub(super) fn all() -> Value {
    let mut all = values();
    all.extend(requests());
    all.extend(answers());
    Value::Object(all)
}

fn members(value: Value) -> Map<String, Value> {
    if let Value::Object(members) = value { members } else { Map::new() }
}

fn values() -> Map<String, Value> {
    let id = |what: &str| json!({ "$ref": "#/components/schemas/Id", "description": what });
    members(json!({
        "Id": {
            "type": "string",
            "pattern": id_pattern(),
            "description": "A decimal number from 1 to 9223372036854775807 without leading zeros. Above 2^53, therefore a string.",
        },
        "UserId": id("A buyer, as the shop knows them."),
        "SkuId": id("What is on sale."),
        "OrderId": id("An order."),
        "ReservationId": id("The hold of an order."),
        "Quantity": {
            "type": "integer",
            "minimum": 1,
            "maximum": QUANTITY_MAX,
            "description": "In digits only: neither 1.0 nor 1e0.",
        },
        "IdempotencyKey": {
            "type": "string",
            "minLength": 1,
            "maxLength": IDEMPOTENCY_KEY_MAX_BYTES,
            "pattern": "^[!-~]+$",
            "description": "Visible ASCII without spaces. Of one buyer: another buyer's same key is another key.",
        },
        "PaymentId": {
            "type": "string",
            "minLength": 1,
            "maxLength": PAYMENT_ID_MAX_BYTES,
            "pattern": "^[A-Za-z0-9._-]+$",
            "description": "The provider's name for one payment.",
        },
        "Amount": {
            "type": "integer", "minimum": 0, "maximum": AMOUNT_MAX_MINOR, "description": "In minor units of the currency. In digits only: neither 1.0 nor 1e0.",
        },
        "Currency": { "type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217." },
        "Price": { "type": "string", "pattern": "^[0-9]+\\.[0-9]{2}$", "description": "For people; count with minor units." },
        "Time": { "type": "integer", "minimum": 0, "description": "Milliseconds since 1970, by the servers' clock." },
        "RequestId": { "type": "string", "pattern": "^[A-Za-z0-9._-]{8,64}$" },
        "OrderState": { "enum": ["RESERVED", "CONFIRMED", "CANCELLED", "EXPIRED"] },
        "RefundReason": { "enum": RefundReason::ALL.map(RefundReason::as_str) },
    }))
}

fn requests() -> Map<String, Value> {
    let or_null = |name: &str| json!({ "anyOf": [of(name), { "type": "null" }] });
    members(json!({
        "PurchaseRequest": {
            "type": "object",
            "required": ["userId", "skuId"],
            "additionalProperties": false,
            "properties": {
                "userId": of("UserId"),
                "skuId": of("SkuId"),
                "quantity": { "allOf": [of("Quantity")], "default": 1 },
                "idempotencyKey": or_null("IdempotencyKey"),
            },
        },
        "PayRequest": {
            "type": "object",
            "required": ["paymentId", "amount"],
            "additionalProperties": false,
            "properties": { "paymentId": of("PaymentId"), "amount": of("Amount"), "currency": or_null("Currency") },
        },
        "CancelRequest": {
            "type": "object",
            "additionalProperties": false,
            "properties": { "userId": or_null("UserId") },
        },
        "Notice": {
            "type": "object",
            "required": ["type"],
            "properties": { "type": { "type": "string" } },
            "if": { "properties": { "type": { "const": PAYMENT_SUCCEEDED } } },
            "then": {
                "required": ["paymentId", "orderId", "amount"],
                "properties": {
                    "paymentId": of("PaymentId"),
                    "orderId": of("OrderId"),
                    "amount": of("Amount"),
                    "currency": or_null("Currency"),
                },
            },
            "description": "Other members and other types are the provider's business: they are acknowledged.",
        },
    }))
}

fn answers() -> Map<String, Value> {
    let object = |required: &[&str], properties: Value| json!({ "type": "object", "required": required, "properties": properties });
    let count = json!({ "type": "integer", "minimum": 0 });
    let unknown = json!({ "type": ["integer", "null"], "minimum": 0, "description": "null: not heard of yet." });
    let time_or_null = json!({ "anyOf": [of("Time"), { "type": "null" }] });
    let mut all = members(json!({
        "Won": object(
            &["success", "reservationId", "orderId", "expiresAt", "message", "processingTimeMs"],
            json!({
                "success": { "const": true },
                "reservationId": of("ReservationId"),
                "orderId": of("OrderId"),
                "expiresAt": of("Time"),
                "message": { "type": "string" },
                "processingTimeMs": count,
            }),
        ),
        "Sku": object(
            &["skuId", "name", "price", "priceMinor", "currency", "capacity", "perUser", "holdMs", "opensAt", "closesAt", "paused", "available", "held", "sold", "closing"],
            json!({
                "skuId": of("SkuId"),
                "name": { "type": "string" },
                "price": of("Price"),
                "priceMinor": { "type": "integer", "minimum": 0, "maximum": PRICE_MAX_MINOR },
                "currency": of("Currency"),
                "capacity": { "type": "integer", "minimum": 0, "maximum": CAPACITY_MAX },
                "perUser": count,
                "holdMs": { "type": "integer", "minimum": HOLD_MIN_MS, "maximum": HOLD_MAX_MS },
                "opensAt": time_or_null,
                "closesAt": time_or_null,
                "paused": { "type": "boolean" },
                "available": unknown,
                "held": unknown,
                "sold": unknown,
                "closing": unknown,
            }),
        ),
        "Confirmed": object(
            &["success", "orderId", "state", "paymentId", "amount", "message"],
            json!({
                "success": { "const": true },
                "orderId": of("OrderId"),
                "state": { "const": "CONFIRMED" },
                "paymentId": of("PaymentId"),
                "amount": of("Amount"),
                "replacesOrderId": of("OrderId"),
                "message": { "type": "string" },
            }),
        ),
        "Cancelled": object(
            &["success", "orderId", "state", "message"],
            json!({
                "success": { "const": true },
                "orderId": of("OrderId"),
                "state": { "const": "CANCELLED" },
                "message": { "type": "string" },
            }),
        ),
        "Received": object(
            &["received", "status"],
            json!({
                "received": { "const": true },
                "status": { "enum": ["CONFIRMED", "REFUND_PENDING", "IGNORED"] },
                "paymentId": of("PaymentId"),
                "paidOrderId": of("OrderId"),
                "orderId": { "anyOf": [of("OrderId"), { "type": "null" }] },
                "reason": { "anyOf": [of("RefundReason"), { "type": "null" }] },
            }),
        ),
        "Pending": object(
            &["orderId", "state", "message"],
            json!({ "orderId": of("OrderId"), "state": { "const": "PENDING" }, "message": { "type": "string" } }),
        ),
        "Health": object(
            &["status", "timestamp", "uptime"],
            json!({ "status": { "const": "ok" }, "timestamp": of("Time"), "uptime": { "type": "number", "minimum": 0, "description": "Seconds." } }),
        ),
    }));
    all.extend(orders());
    all.insert("Problem".to_owned(), problem());
    all
}

fn orders() -> Map<String, Value> {
    let count = json!({ "type": "integer", "minimum": 0 });
    let order = json!({
        "orderId": of("OrderId"),
        "reservationId": of("ReservationId"),
        "userId": of("UserId"),
        "skuId": of("SkuId"),
        "state": of("OrderState"),
        "quantity": of("Quantity"),
        "unitPrice": of("Price"),
        "total": of("Price"),
        "reservedAt": of("Time"),
        "expiresAt": of("Time"),
        "updatedAt": of("Time"),
    });
    let required: Vec<&String> = order.as_object().map(|order| order.keys().collect()).unwrap_or_default();
    members(json!({
        "Order": { "type": "object", "required": required, "properties": order },
        "OrderWithHistory": {
            "allOf": [of("Order")],
            "required": ["history", "payments"],
            "properties": {
                "history": { "type": "array", "items": of("Step") },
                "payments": { "type": "array", "items": of("Payment") },
            },
        },
        "Step": {
            "type": "object",
            "description": "One state that the order reached, and where in the log that stands.",
            "required": ["state", "at", "seq", "delta", "epoch", "partition", "offset"],
            "properties": {
                "state": of("OrderState"),
                "at": of("Time"),
                "seq": count,
                "delta": { "type": "integer", "description": "Units that left (-) or came back (+)." },
                "epoch": count,
                "partition": count,
                "offset": count,
            },
        },
        "Payment": {
            "type": "object",
            "required": ["paymentId", "amount", "status", "reason", "orderId"],
            "properties": {
                "paymentId": of("PaymentId"),
                "amount": of("Amount"),
                "status": { "enum": ["CAPTURED", "REFUND_PENDING"] },
                "reason": { "anyOf": [of("RefundReason"), { "type": "null" }] },
                "orderId": { "anyOf": [of("OrderId"), { "type": "null" }] },
            },
        },
    }))
}

pub(super) fn problem() -> Value {
    json!({
        "type": "object",
        "description": "RFC 9457, with the members `error` and `message` for programs and people. Decide by `error`.",
        "required": ["type", "title", "status", "success", "error", "message"],
        "additionalProperties": false,
        "properties": {
            "type": { "type": "string", "pattern": "^urn:flash-sale:problem:[a-z_]+$" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "success": { "const": false },
            "error": { "enum": problems::codes() },
            "message": { "type": "string" },
            "retryAfter": { "type": "integer", "minimum": 1, "description": "As the header Retry-After." },
            "opensAt": of("Time"),
            "final": { "type": "boolean", "description": "SOLD_OUT: every unit is paid for, nothing will come back." },
            "held": { "type": "integer", "minimum": 0, "description": "SOLD_OUT: units that may come back." },
            "idempotencyKey": of("IdempotencyKey"),
            "expected": { "type": ["integer", "string"], "description": "The price in minor units, or the currency." },
            "orderId": of("OrderId"),
            "paymentId": of("PaymentId"),
            "paymentStatus": { "const": "REFUND_PENDING", "description": "The money has arrived and is given back." },
            "reason": of("RefundReason"),
        },
    })
}

/// Exactly the canonical decimal numbers from 1 to 2^63 − 1.
fn id_pattern() -> String {
    let largest = i64::MAX.to_string();
    let mut ways = vec![format!("[1-9][0-9]{{0,{}}}", largest.len() - 2)];
    for (at, digit) in largest.bytes().enumerate() {
        let (least, rest) = (if at == 0 { b'1' } else { b'0' }, largest.len() - at - 1);
        if digit > least {
            let range = format!("[{}-{}]", char::from(least), char::from(digit - 1));
            let tail = if rest == 0 { String::new() } else { format!("[0-9]{{{rest}}}") };
            ways.push(format!("{}{range}{tail}", &largest[..at]));
        }
    }
    ways.push(largest);
    format!("^({})$", ways.join("|"))
}

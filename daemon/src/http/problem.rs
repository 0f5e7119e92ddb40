//! Refusals as `application/problem+json` (RFC 9457), which also carry the seed's `error` and `message`.

use super::Answer;
use bytes::Bytes;
use flash_core::outcome::{Refusal, SoldOut};
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Response, StatusCode};
use serde_json::{Map, Value, json};

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Builds the answer of a refusal.
pub(crate) fn answer(refusal: &Refusal) -> Answer {
    with_body(refusal, body(refusal))
}

/// The answer to a method that a path does not have.
pub(crate) fn method_not_allowed(methods: &[Method]) -> Answer {
    let mut answer = answer(&Refusal::MethodNotAllowed);
    let allow: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if let Ok(allow) = HeaderValue::from_str(&allow.join(", ")) {
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}

/// The answer of a local sold-out, with the body the lane has prebuilt.
pub(crate) fn sold_out(sold_out: SoldOut, body: Bytes) -> Answer {
    with_body(&Refusal::SoldOut(sold_out), body)
}

/// The body of a sold-out answer, to be built once per change of stock.
pub(crate) fn sold_out_body(sold_out: &SoldOut) -> Bytes {
    body(&Refusal::SoldOut(*sold_out))
}

fn with_body(refusal: &Refusal, body: Bytes) -> Answer {
    let advice = refusal.advice();
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = StatusCode::from_u16(advice.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    headers.insert(CACHE_CONTROL, NO_STORE);
    if let Some(seconds) = advice.retry_after_s {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if advice.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The body of a refusal.
pub(crate) fn body(refusal: &Refusal) -> Bytes {
    let advice = refusal.advice();
    let mut problem = Map::new();
    problem.insert("type".into(), format!("urn:flash-sale:problem:{}", advice.code.to_ascii_lowercase()).into());
    problem.insert("title".into(), advice.message.into());
    problem.insert("status".into(), advice.status.into());
    if let Some(detail) = refusal.detail() {
        problem.insert("detail".into(), detail.into());
    }
    problem.insert("success".into(), false.into());
    problem.insert("error".into(), advice.code.into());
    problem.insert("message".into(), refusal.detail().unwrap_or_else(|| advice.message.to_owned()).into());
    if let Some(seconds) = advice.retry_after_s {
        problem.insert("retryAfter".into(), seconds.into());
    }
    problem.extend(extras(refusal));
    Bytes::from(Value::Object(problem).to_string())
}

/// Members that only some problems have.
pub(crate) fn extras(refusal: &Refusal) -> Map<String, Value> {
    let extras = match refusal {
        Refusal::SaleNotOpen { opens_at_ms } => json!({ "opensAt": opens_at_ms }),
        Refusal::SoldOut(sold_out) => json!({ "final": sold_out.is_final, "held": sold_out.held }),
        Refusal::OutcomeUnknown { idempotency_key } => json!({ "idempotencyKey": idempotency_key }),
        Refusal::AmountMismatch { expected_minor } => json!({ "expected": expected_minor }),
        Refusal::CurrencyMismatch { expected } => json!({ "expected": expected }),
        Refusal::PaymentReused { order_id } => json!({ "orderId": order_id }),
        Refusal::Refunded { payment_id, reason } => {
            json!({ "paymentId": payment_id, "paymentStatus": "REFUND_PENDING", "reason": reason })
        }
        _ => Value::Null,
    };
    match extras {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

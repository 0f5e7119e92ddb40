//! What each operation may answer instead of doing it, from the one table of outcomes: statuses, codes, headers, examples.

use crate::http::problem;
use crate::meters::Endpoint;
use flash_core::outcome::Refusal;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Whether this operation may answer with this refusal. A new refusal does not compile until somebody has decided.
fn may_tell(endpoint: Endpoint, refusal: &Refusal) -> bool {
    use Endpoint::{Cancel, Order, Orders, Pay, Purchase, Sku, Webhook};
    let settles = matches!(endpoint, Pay | Cancel | Webhook);
    let reads_body = settles || matches!(endpoint, Purchase);
    match refusal {
        Refusal::Validation(_) => reads_body || matches!(endpoint, Orders),
        Refusal::Framing
        | Refusal::RequestTimeout
        | Refusal::PayloadTooLarge
        | Refusal::UnsupportedMediaType
        | Refusal::ExpectationFailed => reads_body,
        // Another method is another operation, which is not in the document.
        Refusal::MethodNotAllowed => false,
        // An id with a slash or of dots only makes another path.
        Refusal::RouteNotFound => matches!(endpoint, Sku | Order | Pay | Cancel),
        Refusal::SkuNotFound => matches!(endpoint, Purchase | Sku),
        Refusal::OrderNotFound => settles || matches!(endpoint, Order),
        // A late payment reserves anew, if it may.
        Refusal::SalePaused | Refusal::RateLimited => matches!(endpoint, Purchase | Pay | Webhook),
        Refusal::ReservationExpired => matches!(endpoint, Purchase | Cancel),
        Refusal::LimitReached
        | Refusal::SaleNotOpen { .. }
        | Refusal::SaleClosed
        | Refusal::InProgress
        | Refusal::SoldOut(_)
        | Refusal::ReservationCancelled
        | Refusal::KeyReused
        | Refusal::OutcomeUnknown { .. } => matches!(endpoint, Purchase),
        Refusal::AlreadyPaid => matches!(endpoint, Cancel),
        Refusal::PaymentReused { .. } | Refusal::AmountMismatch { .. } | Refusal::CurrencyMismatch { .. } => {
            matches!(endpoint, Pay | Webhook)
        }
        Refusal::Refunded { .. } => matches!(endpoint, Pay),
        Refusal::SignatureInvalid(_) => matches!(endpoint, Webhook),
        Refusal::Overloaded | Refusal::StockRecovering => reads_body,
        Refusal::OrderPending | Refusal::SettlementUnknown => settles,
        Refusal::ViewUnavailable => settles || matches!(endpoint, Orders | Order),
    }
}

/// The problems of an operation as `responses`, by status.
pub(super) fn of(endpoint: Endpoint) -> Map<String, Value> {
    let told = Refusal::one_of_each().into_iter().filter(|refusal| may_tell(endpoint, refusal));
    let mut responses = responses(told);
    // What is no HTTP is answered before anybody has looked which operation it is.
    responses.entry("400").or_insert_with(|| json!({ "description": "No HTTP. Without a body." }));
    responses
        .insert("431".to_owned(), json!({ "description": "The head of the request is too large. Without a body." }));
    responses
}

/// These refusals as `responses`, by status.
pub(super) fn responses(refusals: impl Iterator<Item = Refusal>) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Refusal>> = BTreeMap::new();
    for refusal in refusals {
        by_status.entry(refusal.advice().status).or_default().push(refusal);
    }
    by_status.into_iter().map(|(status, refusals)| (status.to_string(), response(status, &refusals))).collect()
}

fn response(status: u16, refusals: &[Refusal]) -> Value {
    let advice: Vec<_> = refusals.iter().map(Refusal::advice).collect();
    let mut lines: Vec<String> = Vec::new();
    for advice in &advice {
        let line = format!("`{}`: {}", advice.code, advice.message);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let codes: BTreeSet<&str> = advice.iter().map(|advice| advice.code).collect();
    // Of an HTTP that is none nothing is repeated.
    let id_is_sure = status != 400;
    let mut headers = json!({ "X-Request-Id": super::schemas::request_id(id_is_sure) });
    if advice.iter().any(|advice| advice.retry_after_s.is_some()) {
        let always = advice.iter().all(|advice| advice.retry_after_s.is_some());
        headers["Retry-After"] = super::schemas::retry_after(always);
    }
    let named = json!({ "properties": { "status": { "const": status }, "error": { "enum": codes } } });
    json!({
        "description": lines.join("\n"),
        "headers": headers,
        "content": { "application/problem+json": {
            "schema": { "allOf": [{ "$ref": "#/components/schemas/Problem" }, named] },
            "examples": examples(refusals),
        } },
    })
}

/// The very bodies that are sent; of several with one code the second and later ones are numbered.
fn examples(refusals: &[Refusal]) -> Map<String, Value> {
    let mut examples = Map::new();
    for refusal in refusals {
        let code = refusal.advice().code;
        let same =
            examples.keys().filter(|name| name.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit()) == code);
        let name = match same.count() {
            0 => code.to_owned(),
            before => format!("{code}-{}", before + 1),
        };
        let body: Value = serde_json::from_slice(&problem::body(refusal)).unwrap_or_default();
        examples.insert(name, json!({ "value": body }));
    }
    examples
}

/// Every code that the API knows.
pub(super) fn codes() -> BTreeSet<&'static str> {
    Refusal::one_of_each().iter().map(|refusal| refusal.advice().code).collect()
}

//! Whether the process lives, and whether it may be sent buyers. Asks no backend: everything is already in memory.

use crate::app::App;
use crate::http::{Answer, json};
use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

/// `/livez`: the process answers.
pub(super) fn livez(_: &App) -> Answer {
    json(Bytes::from_static(b"{\"status\":\"ok\"}"))
}

/// `/readyz`: 200 when every latch is dropped, otherwise 503 with the reasons.
pub(super) fn readyz(app: &App) -> Answer {
    let reasons = app.unready();
    let ready = reasons.is_empty();
    let reasons: Map<String, Value> = reasons.into_iter().map(|(latch, why)| (latch.to_owned(), why.into())).collect();
    let mut answer = json(Bytes::from(json!({ "ready": ready, "reasons": reasons }).to_string()));
    if !ready {
        *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    answer
}

//! What the admin plane says instead of doing it: `application/problem+json`, as the API does.

use crate::http::{Answer, problem};
use bytes::Bytes;
use flash_core::outcome::Refusal;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::json;

const UNAUTHORIZED: (u16, &str) = (401, "UNAUTHORIZED");
const CONTROL_DISABLED: (u16, &str) = (403, "CONTROL_DISABLED");
const CONFLICT: (u16, &str) = (409, "CONFLICT");
/// Status and code of what only the admin plane says.
pub(crate) const PROBLEMS: [(u16, &str); 3] = [UNAUTHORIZED, CONTROL_DISABLED, CONFLICT];

/// Why a page or verb was not given.
#[derive(Debug)]
pub(super) enum Problem {
    /// What the API says in the same case: a bad query or body, mostly.
    Common(Refusal),
    /// No token, or not the one.
    Unauthorized,
    /// Nobody may command this daemon; the text says why and what to do about it.
    Forbidden(&'static str),
    /// Not now, or not here.
    Conflict(&'static str),
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Common(refusal)
    }
}

impl Problem {
    /// A request that is not valid.
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::Common(Refusal::Validation(text.into()))
    }

    /// The answer.
    pub(super) fn answer(&self) -> Answer {
        match self {
            Self::Common(refusal) => problem::answer(refusal),
            Self::Unauthorized => {
                let text = "This needs the daemon's admin token: Authorization: Bearer TOKEN.";
                let mut answer = build(UNAUTHORIZED, text);
                answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                answer
            }
            Self::Forbidden(text) => build(CONTROL_DISABLED, text),
            Self::Conflict(text) => build(CONFLICT, text),
        }
    }
}

/// There is no such page.
pub(super) fn not_found() -> Answer {
    problem::answer(&Refusal::RouteNotFound)
}

fn build((status, code): (u16, &str), text: &str) -> Answer {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({
        "type": format!("urn:flash-sale:problem:{}", code.to_ascii_lowercase()),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "success": false,
        "error": code,
        "message": text,
    });
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

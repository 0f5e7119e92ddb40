//! Reading a request body within its bounds: bytes and time.

use bytes::{Bytes, BytesMut};
use flash_core::limits::{BODY_MAX_BYTES, BODY_TIMEOUT_MS};
use flash_core::outcome::Refusal;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING};
use hyper::{HeaderMap, Request};
use std::time::Duration;

/// Reads a body that may be missing; if it is there, it must be JSON.
pub(crate) async fn read_optional_json(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    if request.body().is_end_stream() && !request.headers().contains_key(TRANSFER_ENCODING) {
        return Ok(Bytes::new());
    }
    read_json(request).await.map(|(_, body)| body)
}

/// Checks the framing and type of a JSON request and reads its body.
pub(crate) async fn read_json(request: Request<Incoming>) -> Result<(HeaderMap, Bytes), Refusal> {
    check_headers(request.headers())?;
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > BODY_MAX_BYTES as u64 {
        return Err(Refusal::PayloadTooLarge);
    }
    let patience = Duration::from_millis(BODY_TIMEOUT_MS);
    let bytes = tokio::time::timeout(patience, collect(body)).await.map_err(|_| Refusal::RequestTimeout)??;
    Ok((head.headers, bytes))
}

/// Most bodies arrive in one frame and are used as they are, without copying.
async fn collect(mut body: Incoming) -> Result<Bytes, Refusal> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::Validation(format!("body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > BODY_MAX_BYTES {
            return Err(Refusal::PayloadTooLarge);
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

fn check_headers(headers: &HeaderMap) -> Result<(), Refusal> {
    // Two ways to say where a body ends are how requests are smuggled past a proxy.
    if headers.contains_key(TRANSFER_ENCODING)
        && (headers.contains_key(CONTENT_LENGTH) || headers.get_all(TRANSFER_ENCODING).iter().count() > 1)
    {
        return Err(Refusal::Framing);
    }
    if headers.get(EXPECT).is_some_and(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal::ExpectationFailed);
    }
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes() != b"identity") {
        return Err(Refusal::UnsupportedMediaType);
    }
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    match (types.next(), types.next()) {
        (Some(only), None) if is_json(only.as_bytes()) => Ok(()),
        _ => Err(Refusal::UnsupportedMediaType),
    }
}

/// `application/json`, optionally with `charset=utf-8` and nothing else.
fn is_json(content_type: &[u8]) -> bool {
    if content_type == b"application/json" {
        return true;
    }
    let Ok(text) = std::str::from_utf8(content_type) else { return false };
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| {
        parameter.split_once('=').is_some_and(|(name, value)| {
            name.trim().eq_ignore_ascii_case("charset") && value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn only_json_in_utf8() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json(good.as_bytes()), "{good}");
        }
        for bad in
            ["", "text/json", "application/json; charset=utf-16", "application/jsonx", "application/json; boundary=x"]
        {
            assert!(!is_json(bad.as_bytes()), "{bad}");
        }
    }
}

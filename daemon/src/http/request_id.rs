//! The id of a request: `X-Request-Id` as it was sent, or one that is made up. It is in every answer, and in every line of the
//! log that is about one request.
//!
//! What is sent ends up in logs, so it is taken only if it is short and of harmless characters – the same rule that
//! compose/nginx goes by. Made up ids cost no lock and no shared counter: one number per process, per connection, per request.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// The header.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Shortest and longest id that is taken over, in bytes.
const LENGTH: std::ops::RangeInclusive<usize> = 8..=64;

/// Tells this process from others and from its own last life.
static PROCESS: LazyLock<u32> = LazyLock::new(|| low(RandomState::new().hash_one(std::process::id())));

/// An id, ready to be sent.
pub(super) struct RequestId(HeaderValue);

impl RequestId {
    /// The id of the `number`-th request of a connection.
    pub(super) fn of(headers: &HeaderMap, connection: u64, number: u64) -> Self {
        let mut sent = headers.get_all(X_REQUEST_ID).iter();
        match (sent.next(), sent.next()) {
            (Some(id), None) if is_harmless(id.as_bytes()) => Self(id.clone()),
            _ => Self::made_up(connection, number),
        }
    }

    fn made_up(connection: u64, number: u64) -> Self {
        let mut text = [0; 24];
        let parts = [*PROCESS, low(connection), low(number)];
        for (digits, part) in text.chunks_exact_mut(8).zip(parts) {
            write_hex(digits, part);
        }
        // Hexadecimal digits are a header's value.
        Self(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("none")))
    }

    /// What lines of the log about this request stand in.
    pub(super) fn span(&self) -> tracing::Span {
        tracing::error_span!("request", id = %self)
    }

    /// For the answer.
    pub(super) fn into_value(self) -> HeaderValue {
        self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.to_str().unwrap_or_default())
    }
}

fn is_harmless(id: &[u8]) -> bool {
    LENGTH.contains(&id.len()) && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

/// The lower half; what is lost only makes an id less unlikely to come again.
fn low(number: u64) -> u32 {
    let [a, b, c, d, ..] = number.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn write_hex(digits: &mut [u8], number: u32) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let nibbles = number.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    for (digit, nibble) in digits.iter_mut().zip(nibbles) {
        *digit = HEX[usize::from(nibble)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn of(values: &[&[u8]]) -> String {
        let values = values.iter().map(|value| (X_REQUEST_ID, HeaderValue::from_bytes(value).unwrap()));
        RequestId::of(&values.collect(), 7, 1).to_string()
    }

    #[test]
    fn what_is_harmless_is_taken_over() {
        let longest = "x".repeat(64);
        for id in ["12345678", "A-b_c.9-", "0af7651916cd43dd8448eb211c80319c", &longest] {
            assert_eq!(of(&[id.as_bytes()]), id);
        }
    }

    #[test]
    fn everything_else_gets_an_id_of_ours() {
        let ours = of(&[]);
        assert!(ours.len() == 24 && is_harmless(ours.as_bytes()), "{ours}");
        let long = "x".repeat(65);
        for id in ["", "1234567", &long, "with space", "{\"a\":\"b\"}", "semi;colon", "id=12345", "a/../../b"] {
            assert_eq!(of(&[id.as_bytes()]), ours, "{id}");
        }
        assert_eq!(of(&[b"\xff\xfe345678"]), ours);
        assert_eq!(of(&[b"12345678", b"12345678"]), ours, "sent twice");
    }

    #[test]
    fn made_up_ids_differ() {
        let headers = HeaderMap::new();
        let ids: HashSet<String> = (0..50)
            .flat_map(|connection| (0..50).map(move |number| (connection, number)))
            .map(|(connection, number)| RequestId::of(&headers, connection, number).to_string())
            .collect();
        assert_eq!(ids.len(), 2_500);
    }
}

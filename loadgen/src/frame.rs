//! Where an HTTP/1.1 response ends, and what its head says.
//!
//! Owns framing: Content-Length, chunked, until close, 1xx, bodiless statuses. Never looks into a body.
//! Takes the bytes read so far and either needs more, has one complete response, or calls it broken.

use std::borrow::Cow;

/// Largest response that is read; more is broken.
pub(crate) const MAX_RESPONSE_BYTES: usize = 8 << 20;
/// Headers looked at; a response with more is broken.
const MAX_HEADERS: usize = 32;

/// What the head of a response says that matters to a buyer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// The connection cannot be used again.
    pub(crate) closes: bool,
    /// The Retry-After header in milliseconds.
    pub(crate) retry_after_ms: Option<u64>,
    /// `Idempotent-Replayed: true`.
    pub(crate) replayed: bool,
}

/// Result of looking at the bytes read so far.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// More bytes are needed.
    Partial,
    /// One whole response.
    Complete(Head, Cow<'a, [u8]>),
    /// Not a response, or one that goes on after its end.
    Broken,
}

/// How the body is delimited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Length {
    Bytes(usize),
    Chunked,
    UntilClose,
}

/// Looks for one complete response in `bytes`; `ended` says that no more will come.
pub(crate) fn frame(mut bytes: &[u8], ended: bool) -> Frame<'_> {
    loop {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut slots);
        let head_bytes = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Frame::Partial,
            Err(_) => return Frame::Broken,
        };
        bytes = &bytes[head_bytes..];
        let status = response.code.unwrap_or(0);
        // An interim response (1xx) is skipped: the real one follows.
        if !(100..200).contains(&status) {
            let mut head = Head { status, closes: response.version == Some(0), ..Head::default() };
            return match read_headers(response.headers, &mut head) {
                Some(length) => cut_body(head, length, bytes, ended),
                None => Frame::Broken,
            };
        }
    }
}

/// Takes the body off the bytes behind the head.
fn cut_body(mut head: Head, length: Length, rest: &[u8], ended: bool) -> Frame<'_> {
    match length {
        Length::Bytes(n) if n > MAX_RESPONSE_BYTES || rest.len() > n => Frame::Broken,
        Length::Bytes(n) if rest.len() < n => Frame::Partial,
        Length::Bytes(_) => Frame::Complete(head, Cow::Borrowed(rest)),
        Length::Chunked => unchunk(rest).map_or(Frame::Broken, |body| match body {
            Some(body) => Frame::Complete(head, Cow::Owned(body)),
            None => Frame::Partial,
        }),
        Length::UntilClose if ended => {
            head.closes = true;
            Frame::Complete(head, Cow::Borrowed(rest))
        }
        Length::UntilClose => Frame::Partial,
    }
}

/// Fills `head` from the headers and tells how the body is delimited; `None` if they contradict themselves.
fn read_headers(headers: &[httparse::Header<'_>], head: &mut Head) -> Option<Length> {
    let bodiless = matches!(head.status, 204 | 304);
    let mut length = if bodiless { Length::Bytes(0) } else { Length::UntilClose };
    for header in headers {
        // The length of the name rules out almost every comparison.
        match header.name.len() {
            14 if is(header, "content-length") && length != Length::Chunked && !bodiless => {
                length = Length::Bytes(usize::try_from(decimal(header.value)?).ok()?);
            }
            17 if is(header, "transfer-encoding") && !bodiless => {
                if !header.value.eq_ignore_ascii_case(b"chunked") {
                    return None;
                }
                length = Length::Chunked;
            }
            10 if is(header, "connection") => {
                head.closes = header.value.eq_ignore_ascii_case(b"close")
                    || (head.closes && !header.value.eq_ignore_ascii_case(b"keep-alive"));
            }
            11 if is(header, "retry-after") => {
                head.retry_after_ms = decimal(header.value).map(|seconds| seconds.saturating_mul(1_000));
            }
            19 if is(header, "idempotent-replayed") => {
                head.replayed = header.value.eq_ignore_ascii_case(b"true");
            }
            _ => {}
        }
    }
    Some(length)
}

fn is(header: &httparse::Header<'_>, name: &str) -> bool {
    header.name.eq_ignore_ascii_case(name)
}

/// A plain decimal number of at most 18 digits.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 18 {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, byte| match byte {
        b'0'..=b'9' => Some(sum * 10 + u64::from(byte - b'0')),
        _ => None,
    })
}

/// Joins the chunks: `None` if they are malformed, `Some(None)` if more bytes are needed.
fn unchunk(mut rest: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let (line_bytes, size) = match httparse::parse_chunk_size(rest).ok()? {
            httparse::Status::Complete(parsed) => parsed,
            httparse::Status::Partial => return Some(None),
        };
        rest = &rest[line_bytes..];
        if size == 0 {
            return end_of_trailers(rest).map(|ended| ended.then_some(body));
        }
        let size = usize::try_from(size).ok().filter(|n| body.len().saturating_add(*n) <= MAX_RESPONSE_BYTES)?;
        if rest.len() < size + 2 {
            return Some(None);
        }
        body.extend_from_slice(&rest[..size]);
        if &rest[size..size + 2] != b"\r\n" {
            return None;
        }
        rest = &rest[size + 2..];
    }
}

/// After the last chunk: `Some(true)` at the very end, `Some(false)` if bytes are missing, `None` if there are too many.
fn end_of_trailers(rest: &[u8]) -> Option<bool> {
    if rest == b"\r\n" || rest.ends_with(b"\r\n\r\n") {
        return Some(true);
    }
    if rest.starts_with(b"\r\n") { None } else { Some(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body_of(bytes: &[u8]) -> (Head, Vec<u8>) {
        match frame(bytes, false) {
            Frame::Complete(head, body) => (head, body.into_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_prefix_is_partial_and_the_whole_is_complete() {
        let responses: [&[u8]; 3] = [
            b"HTTP/1.1 410 Gone\r\ncontent-length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        ];
        for response in responses {
            for cut in 0..response.len() {
                assert_eq!(frame(&response[..cut], false), Frame::Partial, "{cut}");
            }
            assert_eq!(body_of(response).1, b"hello");
        }
    }

    #[test]
    fn heads_are_understood() {
        let (head, _) = body_of(
            b"HTTP/1.1 503 x\r\nRetry-After: 2\r\nConnection: close\r\nIdempotent-Replayed: true\r\nContent-Length: 0\r\n\r\n",
        );
        assert_eq!(head, Head { status: 503, closes: true, retry_after_ms: Some(2_000), replayed: true });
        assert!(body_of(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").0.closes);
        assert!(!body_of(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").0.closes);
        assert!(!body_of(b"HTTP/1.1 204 No Content\r\n\r\n").0.closes);
    }

    #[test]
    fn until_close_needs_the_end() {
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nhello";
        assert_eq!(frame(bytes, false), Frame::Partial);
        assert!(matches!(frame(bytes, true), Frame::Complete(head, _) if head.closes));
    }

    #[test]
    fn nonsense_is_broken() {
        let cases: [&[u8]; 6] = [
            b"hello\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nheXX",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ];
        for case in cases {
            assert_eq!(frame(case, false), Frame::Broken, "{:?}", String::from_utf8_lossy(case));
        }
    }
}

//! One HTTP/1.1 answer off a connection: its head, and a body by length, in chunks or up to the end.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest head that is read.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum AnswerError {
    /// The connection ended before the first byte of it: the question was not heard.
    Closed,
    /// It ended in the middle.
    CutOff,
    /// Whoever speaks there does not speak HTTP.
    Foreign,
    /// More than the bound, in MiB.
    TooLong(usize),
    /// The socket's own words.
    Io(io::Error),
}

impl std::fmt::Display for AnswerError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => out.write_str("the connection was closed without an answer"),
            Self::CutOff => out.write_str("the connection was closed within the answer"),
            Self::Foreign => out.write_str("not an HTTP answer"),
            Self::TooLong(mib) => write!(out, "an answer of more than {mib} MiB"),
            Self::Io(error) => error.fmt(out),
        }
    }
}

impl From<io::Error> for AnswerError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// What the head says, and where the body begins in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) body_at: usize,
    /// Whether the connection may be asked again.
    pub(super) keeps: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Body {
    Length(usize),
    Chunked,
    ToTheEnd,
}

/// Reads one answer into `buffer`, which then ends with the body.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    max_bytes: usize,
) -> Result<Head, AnswerError> {
    buffer.clear();
    let body_at = loop {
        if more(stream, buffer).await? == 0 {
            return Err(if buffer.is_empty() { AnswerError::Closed } else { AnswerError::CutOff });
        }
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        if buffer.len() > HEAD_MAX_BYTES {
            return Err(AnswerError::Foreign);
        }
    };
    let (status, body, closes) = parse(&buffer[..body_at - 4]).ok_or(AnswerError::Foreign)?;
    let too_long = AnswerError::TooLong(max_bytes >> 20);
    let keeps = !closes && body != Body::ToTheEnd;
    match body {
        Body::Length(length) if length > max_bytes => return Err(too_long),
        Body::Length(length) => {
            buffer.reserve_exact((body_at + length).saturating_sub(buffer.len()));
            while buffer.len() < body_at + length {
                if more(stream, buffer).await? == 0 {
                    return Err(AnswerError::CutOff);
                }
            }
            buffer.truncate(body_at + length);
        }
        Body::Chunked => chunks(stream, buffer, body_at, max_bytes).await?,
        Body::ToTheEnd => {
            while more(stream, buffer).await? > 0 {
                if buffer.len() - body_at > max_bytes {
                    return Err(too_long);
                }
            }
        }
    }
    Ok(Head { status, body_at, keeps })
}

/// Reads what is there; 0 at the end.
async fn more(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Result<usize, AnswerError> {
    match stream.read_buf(buffer).await {
        // How a closed connection looks depends on who was first.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(0),
        read => Ok(read?),
    }
}

/// Puts the chunks together, in place: what a chunk's frame leaves free is filled by the next one.
async fn chunks(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    body_at: usize,
    max_bytes: usize,
) -> Result<(), AnswerError> {
    let (mut done, mut at) = (body_at, body_at);
    loop {
        let line = loop {
            match find(&buffer[at..], b"\r\n") {
                Some(length) => break at..at + length,
                None if buffer.len() - at > HEAD_MAX_BYTES => return Err(AnswerError::Foreign),
                None if more(stream, buffer).await? == 0 => return Err(AnswerError::CutOff),
                None => {}
            }
        };
        let from = line.end + 2;
        let size = std::str::from_utf8(&buffer[line]).ok().and_then(|line| line.split(';').next());
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok()).ok_or(AnswerError::Foreign)?;
        if size > max_bytes || done - body_at + size > max_bytes {
            return Err(AnswerError::TooLong(max_bytes >> 20));
        }
        // The chunk and the line end behind it; behind the last chunk there is the same, as no trailers are sent to us.
        while buffer.len() < from + size + 2 {
            if more(stream, buffer).await? == 0 {
                return Err(AnswerError::CutOff);
            }
        }
        if size == 0 {
            buffer.truncate(done);
            return Ok(());
        }
        buffer.copy_within(from..from + size, done);
        done += size;
        at = from + size + 2;
    }
}

fn find(buffer: &[u8], what: &[u8]) -> Option<usize> {
    buffer.windows(what.len()).position(|window| window == what)
}

/// Status, kind of body, and whether the connection ends with it.
fn parse(head: &[u8]) -> Option<(u16, Body, bool)> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let (mut body, mut closes) = (Body::ToTheEnd, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" if body != Body::Chunked => body = Body::Length(value.parse().ok()?),
            "transfer-encoding" if value.eq_ignore_ascii_case("chunked") => body = Body::Chunked,
            "connection" => closes = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
    Some((status, body, closes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_says_how_its_body_ends() {
        let told = |head: &str| parse(head.as_bytes());
        assert_eq!(told("HTTP/1.1 200 OK\r\nContent-Length: 7"), Some((200, Body::Length(7), false)));
        assert_eq!(told("HTTP/1.0 503 x\r\nconnection: Close"), Some((503, Body::ToTheEnd, true)));
        assert_eq!(told("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"), Some((200, Body::Chunked, false)));
        assert_eq!(told("SSH-2.0"), None);
        assert_eq!(told("HTTP/1.1 200 OK\r\nContent-Length: -7"), None);
    }
}

//! HTTP as a buyer speaks it: one kept connection, one request at a time, written by hand.

use std::{
    io::{Error, ErrorKind, Result},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longest wait for an answer. flashd answers within its own time-out; a frozen one does not.
const PATIENCE: Duration = Duration::from_secs(3);
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// The `error` code of a problem; empty if there is none.
    pub(super) fn code(&self) -> &str {
        self.body["error"].as_str().unwrap_or_default()
    }

    /// Whether asking again, with the same key, may find out more.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.status, 429 | 503) || self.code() == "REQUEST_IN_PROGRESS"
    }
}

/// Somebody with at most one connection, to one daemon after the other.
#[derive(Debug)]
pub(super) struct Line {
    addresses: std::sync::Arc<[String]>,
    at: usize,
    connection: Option<(TcpStream, Vec<u8>)>,
    /// The last answer said that this will never be on sale again.
    said_final: bool,
}

impl Line {
    pub(super) fn new(addresses: std::sync::Arc<[String]>, at: usize) -> Self {
        Self { addresses, at, connection: None, said_final: false }
    }

    /// The daemons it talks to.
    pub(super) fn addresses(&self) -> std::sync::Arc<[String]> {
        self.addresses.clone()
    }

    /// Whether the last answer was a sold out for ever.
    pub(super) fn said_final(&self) -> bool {
        self.said_final
    }

    /// Which of them is next.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Posts and waits. After a failure nobody knows what happened, and the next request goes to the next daemon.
    pub(super) async fn post(&mut self, path: &str, body: &str) -> Result<Answer> {
        let result =
            timeout(PATIENCE, self.exchange(path, body)).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        self.said_final = result.as_ref().is_ok_and(|answer| answer.body["final"] == Value::Bool(true));
        if result.is_err() {
            self.connection = None;
            self.at += 1;
        }
        result
    }

    async fn exchange(&mut self, path: &str, body: &str) -> Result<Answer> {
        // Taken out: whoever is interrupted here leaves no half-read connection behind.
        let (mut stream, mut buffer) = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let stream = TcpStream::connect(&self.addresses[self.at % self.addresses.len()]).await?;
                stream.set_nodelay(true)?;
                (stream, Vec::new())
            }
        };
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: chaos\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await?;
        loop {
            if let Some((answer, used, keeps)) = parse(&buffer)? {
                buffer.drain(..used);
                if keeps {
                    self.connection = Some((stream, buffer));
                }
                return Ok(answer);
            }
            if buffer.len() > MAX_ANSWER_BYTES {
                return Err(Error::new(ErrorKind::InvalidData, "an answer without an end"));
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A whole answer at the beginning of `bytes`, its length, and whether the connection stays.
fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize, bool)>> {
    let Some(head_end) = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4) else {
        return Ok(None);
    };
    let foreign = || Error::new(ErrorKind::InvalidData, "not an HTTP answer");
    let head = std::str::from_utf8(&bytes[..head_end]).map_err(|_| foreign())?.to_ascii_lowercase();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or_else(foreign)?;
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.trim())
    };
    let length: usize = header("content-length").and_then(|value| value.parse().ok()).ok_or_else(foreign)?;
    let Some(body) = bytes.get(head_end..head_end + length) else { return Ok(None) };
    let body = serde_json::from_slice(body).unwrap_or(Value::Null);
    Ok(Some((Answer { status, body }, head_end + length, header("connection") != Some("close"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_or_not() {
        let text = "HTTP/1.1 410 Gone\r\nContent-Length: 20\r\n\r\n{\"error\":\"SOLD_OUT\"}X";
        assert!(parse(&text.as_bytes()[..text.len() - 2]).unwrap().is_none());
        let (answer, used, keeps) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!((answer.status, answer.code(), used, keeps), (410, "SOLD_OUT", text.len() - 1, true));
        assert!(parse(b"SSH-2.0\r\n\r\n").is_err());
    }
}

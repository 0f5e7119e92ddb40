//! HTTP/1.1 by hand over one TCP connection. Small enough to be obviously right, and free to send what no client library
//! would: the malformed requests of `bad_requests` use the same connection as the buyers.

use crate::contract;
use serde_json::Value;
use std::io::{Error, ErrorKind, Result};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longest wait for one answer. The daemon promises one long before.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// A response.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header names in lower case, with their values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The `error` code of a problem; empty if there is none.
    #[must_use]
    pub fn code(&self) -> String {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        body.and_then(|body| Some(body.get("error")?.as_str()?.to_owned())).unwrap_or_default()
    }
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// As the system says.
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// As the system says.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Ends our half of the connection.
    ///
    /// # Errors
    /// As the system says.
    pub async fn half_close(&mut self) -> Result<()> {
        self.stream.shutdown().await
    }

    /// Reads one response.
    ///
    /// # Errors
    /// If the connection ends or falls silent before the response is complete, or if what arrives is no response.
    pub async fn answer(&mut self) -> Result<Answer> {
        tokio::time::timeout(ANSWER_TIMEOUT, self.read_answer(false))
            .await
            .map_err(|_| Error::new(ErrorKind::TimedOut, "no answer"))?
    }

    /// `GET`.
    ///
    /// # Errors
    /// Like [`Connection::answer`].
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await?;
        let answer = self.answer().await?;
        contract::check("get", path, &answer);
        Ok(answer)
    }

    /// `HEAD`, whose answer has a length but no body.
    ///
    /// # Errors
    /// Like [`Connection::answer`].
    pub async fn head(&mut self, path: &str) -> Result<Answer> {
        self.send(format!("HEAD {path} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).await?;
        self.read_answer(true).await
    }

    /// `POST` with a JSON body and more headers (each ending with CRLF).
    ///
    /// # Errors
    /// Like [`Connection::answer`].
    pub async fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Result<Answer> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat()).await?;
        let answer = self.answer().await?;
        contract::check("post", path, &answer);
        Ok(answer)
    }

    /// Whether the other side has closed the connection, waiting for it at most `patience`.
    pub async fn closed(&mut self, patience: Duration) -> bool {
        let mut rest = [0; 4096];
        let closed = async {
            loop {
                match self.stream.read(&mut rest).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        tokio::time::timeout(patience, closed).await.is_ok()
    }

    async fn read_answer(&mut self, bodiless: bool) -> Result<Answer> {
        loop {
            if let Some((answer, length)) = parse(&self.buffer, bodiless)? {
                self.buffer.drain(..length);
                // An interim answer announces the real one.
                if answer.status >= 200 {
                    return Ok(answer);
                }
                continue;
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A complete response at the beginning of `bytes`, and its length.
fn parse(bytes: &[u8], bodiless: bool) -> Result<Option<(Answer, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let foreign = |error: httparse::Error| Error::new(ErrorKind::InvalidData, error.to_string());
    let httparse::Status::Complete(head) = response.parse(bytes).map_err(foreign)? else { return Ok(None) };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers: Vec<(String, String)> =
        response.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value))).collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let end = if bodiless { head } else { head + length };
    let Some(body) = bytes.get(head..end) else { return Ok(None) };
    let status = response.code.unwrap_or(0);
    Ok(Some((Answer { status, headers, body: body.to_vec() }, end)))
}

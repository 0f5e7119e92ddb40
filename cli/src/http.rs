//! A GET to our own daemon, written by hand: no client library for a question that fits one packet.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// Status and body.
pub(crate) async fn get(address: &str, path: &str) -> Result<(u16, String), String> {
    let question = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = match timeout(ANSWER_WITHIN, question).await {
        Ok(answer) => answer.map_err(|error| error.to_string())?,
        Err(_) => return Err("no answer in time".to_owned()),
    };
    parse(&answer).ok_or_else(|| "not an HTTP answer".to_owned())
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        assert_eq!(parse("HTTP/1.1 503 Service Unavailable\r\nA: b\r\n\r\n{}\n"), Some((503, "{}".to_owned())));
        assert_eq!(parse("SSH-2.0"), None);
    }
}

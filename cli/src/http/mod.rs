//! GETs and commands to our own daemons, written by hand: no client library for questions that fit one packet.
//!
//! Owns connections that are used again, and the bounds on what an answer may be. Never follows, never retries a question
//! that may have been heard – except that a kept connection which the daemon has closed is replaced once.

mod answer;

use std::time::Duration;

use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use answer::AnswerError;

const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Longest answer that is read: the `/stats` of 10,000 SKUs has about half of it.
const ANSWER_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Status and body of one question on a connection of its own.
pub(crate) async fn get(address: &str, path: &str) -> Result<(u16, String), String> {
    let mut client = Client::new(address);
    let (status, body) = client.get(path, ANSWER_WITHIN).await?;
    Ok((status, String::from_utf8_lossy(body).trim().to_owned()))
}

/// Status and body of one command, on a connection of its own. Without an answer it may have been obeyed.
pub(crate) async fn send(
    address: &str,
    method: &str,
    path: &str,
    token: &str,
    body: Option<&str>,
) -> Result<(u16, String), String> {
    let content = body.map_or_else(String::new, |body| {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    });
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n{content}\r\n{}",
        body.unwrap_or_default()
    );
    let command = async {
        let mut connection = TcpStream::connect(address).await?;
        connection.write_all(request.as_bytes()).await?;
        let mut buffer = Vec::new();
        let head = answer::read(&mut connection, &mut buffer, ANSWER_MAX_BYTES).await?;
        Ok((head.status, String::from_utf8_lossy(&buffer[head.body_at..]).trim().to_owned()))
    };
    match timeout(ANSWER_WITHIN, command).await {
        Ok(answer) => answer.map_err(|error: AnswerError| error.to_string()),
        Err(_) => Err(format!("no answer within {:.1} s", ANSWER_WITHIN.as_secs_f64())),
    }
}

/// `HOST:PORT` of a URL or address as people write it.
pub(crate) fn address_of(url: &str) -> Result<String, String> {
    let rest = url.trim();
    if rest.starts_with("https://") {
        return Err(format!("{url}: an admin listener speaks plain http"));
    }
    let address = rest.strip_prefix("http://").unwrap_or(rest).trim_end_matches('/');
    let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>())?.ok());
    match port {
        Some(port) if port > 0 && is_plain(address) => Ok(address.to_owned()),
        _ => Err(format!("{url}: HOST:PORT or http://HOST:PORT, such as http://127.0.0.1:3900")),
    }
}

/// Nothing but host and port, and nothing that a terminal or a request would take for something else.
fn is_plain(address: &str) -> bool {
    address.bytes().all(|byte| byte.is_ascii_graphic()) && !address.contains(['/', '@', '?', '#', '\\'])
}

/// The host of an address, without the brackets of IPv6.
pub(crate) fn host_of(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']').to_owned()
}

/// Whether a host is this machine, whatever a name service says.
pub(crate) fn is_loopback(host: &str) -> bool {
    let is_loopback = |ip: std::net::IpAddr| ip.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

/// A client of one daemon; its connection is kept between questions.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    connection: Option<TcpStream>,
    /// Head and body of the last answer. Kept, so that a poll every second does not ask for megabytes every second.
    buffer: Vec<u8>,
}

impl Client {
    /// A client of `HOST:PORT`; connects with the first question.
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.to_owned(), connection: None, buffer: Vec::new() }
    }

    /// Status and body. Cancelled or too late, the connection is closed: its answer could be taken for the next one's.
    pub(crate) async fn get(&mut self, path: &str, within: Duration) -> Result<(u16, &[u8]), String> {
        let kept = self.connection.take();
        let question = async {
            if let Some(connection) = kept {
                match self.ask(connection, path).await {
                    Err(AnswerError::Closed) => {}
                    answer => return answer,
                }
            }
            let connection = TcpStream::connect(&self.address).await?;
            // One small packet each way; without this it would wait for another one.
            connection.set_nodelay(true)?;
            self.ask(connection, path).await
        };
        let (status, body_at) = match timeout(within, question).await {
            Ok(answer) => answer.map_err(|error| error.to_string())?,
            Err(_) => return Err(format!("no answer within {:.1} s", within.as_secs_f64())),
        };
        Ok((status, &self.buffer[body_at..]))
    }

    /// Status, and where in the buffer the body begins.
    async fn ask(&mut self, mut connection: TcpStream, path: &str) -> Result<(u16, usize), AnswerError> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n\r\n", self.address);
        // A connection that was closed meanwhile may fail here already.
        connection.write_all(request.as_bytes()).await.map_err(|_| AnswerError::Closed)?;
        let head = answer::read(&mut connection, &mut self.buffer, ANSWER_MAX_BYTES).await?;
        if head.keeps {
            self.connection = Some(connection);
        }
        Ok((head.status, head.body_at))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[test]
    fn an_address_is_host_and_port() {
        for (url, address) in
            [("http://10.0.0.7:9100/", "10.0.0.7:9100"), ("h:1", "h:1"), (" http://[::1]:9 ", "[::1]:9")]
        {
            assert_eq!(address_of(url).as_deref(), Ok(address));
        }
        for bad in
            ["", "h", "h:0", "h:99999", ":9100", "https://h:1", "http://h:1/stats", "u@h:1", "h\r\nx:1", "h\u{1b}[2J:1"]
        {
            assert!(address_of(bad).is_err(), "{bad}");
        }
    }

    /// Answers one request per entry, several on one connection; closes after those that end with `!`.
    async fn server(connections: Vec<Vec<&'static str>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            for answers in connections {
                let (mut stream, _) = listener.accept().await.unwrap();
                for answer in answers {
                    let mut request = [0; 1024];
                    assert!(stream.read(&mut request).await.unwrap() > 0);
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
            std::future::pending::<()>().await;
        });
        address
    }

    const SECOND: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn a_connection_is_kept_and_replaced_when_the_daemon_has_closed_it() {
        let address = server(vec![
            vec!["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy"],
            vec!["HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nto the end"],
            vec!["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n"],
        ])
        .await;
        let mut client = Client::new(&address);
        assert_eq!(client.get("/a", SECOND).await, Ok((200, b"{}".as_slice())));
        assert_eq!(client.get("/b", SECOND).await, Ok((503, b"busy".as_slice())));
        assert_eq!(client.get("/c", SECOND).await, Ok((200, b"to the end".as_slice())));
        assert_eq!(client.get("/d", SECOND).await, Ok((200, b"abcd".as_slice())));
    }

    #[tokio::test]
    async fn what_is_no_answer_or_none_at_all_is_told() {
        let address = server(vec![
            vec!["SSH-2.0-x\r\n\r\n"],
            vec!["HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n"],
            vec!["HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"],
        ])
        .await;
        let mut client = Client::new(&address);
        assert_eq!(client.get("/", SECOND).await, Err("not an HTTP answer".to_owned()));
        assert_eq!(client.get("/", SECOND).await, Err("an answer of more than 16 MiB".to_owned()));
        assert_eq!(client.get("/", SECOND).await, Err("the connection was closed within the answer".to_owned()));
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Client::new(&silent.local_addr().unwrap().to_string());
        assert_eq!(client.get("/", Duration::from_millis(100)).await, Err("no answer within 0.1 s".to_owned()));
    }
}

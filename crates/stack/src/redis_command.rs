//! Administering a Redis with a few bytes written by hand, so that this crate needs no client library.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::{Server, StackError};

/// A command that takes longer has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Sends one command to a Redis over a connection of its own and returns its reply as text. Only for replies that are a
/// status, a number, one string, or a list of strings: those are a line each.
///
/// # Errors
/// [`StackError::Unreachable`], also with Redis' own words if it refuses.
pub async fn redis_command(server: &Server, command: &[&str]) -> Result<String, StackError> {
    let answered = timeout(ANSWER_WITHIN, ask(server.address(), command)).await;
    let answered = answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    answered.map_err(|error| StackError::Unreachable {
        server: server.name().to_owned(),
        address: server.address().to_owned(),
        reason: format!("{}: {error}", command.join(" ")),
    })
}

async fn ask(address: &str, command: &[&str]) -> io::Result<String> {
    let mut stream = BufReader::new(TcpStream::connect(address).await?);
    let mut request = format!("*{}\r\n", command.len());
    for word in command {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(request.as_bytes()).await?;
    let line = line(&mut stream).await?;
    let Some(count) = line.strip_prefix('*') else { return value(&mut stream, &line).await };
    let mut values = Vec::new();
    for _ in 0..count.parse::<usize>().map_err(|_| io::Error::other("no such list"))? {
        let line = self::line(&mut stream).await?;
        values.push(value(&mut stream, &line).await?);
    }
    Ok(values.join("\n"))
}

async fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

async fn value(stream: &mut BufReader<TcpStream>, line: &str) -> io::Result<String> {
    match line.split_at_checked(1) {
        Some(("+" | ":", text)) => Ok(text.to_owned()),
        Some(("$", length)) => {
            let length: usize = length.parse().map_err(|_| io::Error::other("no such value"))?;
            // With the line end behind it.
            let mut text = vec![0; length + 2];
            stream.read_exact(&mut text).await?;
            text.truncate(length);
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        _ => Err(io::Error::other(format!("answered {line:?}"))),
    }
}

//! "Does it really answer?" – asked in each server's own protocol, with a few bytes written by hand,
//! so that this crate needs no client library.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::probe_kafka;

/// One question must be answered in this time; the caller asks again.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// The protocol a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    Redis,
    Mysql,
    Kafka,
}

impl Probe {
    /// Asks once. `address` is `host:port`.
    pub(crate) async fn ask(self, address: &str) -> Result<(), String> {
        let question = async {
            let mut stream = TcpStream::connect(address).await?;
            match self {
                Probe::Redis => redis(&mut stream).await,
                Probe::Mysql => mysql(&mut stream).await,
                Probe::Kafka => probe_kafka::ask(&mut stream).await,
            }
        };
        match timeout(ANSWER_WITHIN, question).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    /// Asks until it answers or `patience` is over.
    pub(crate) async fn ask_until(self, address: &str, patience: Duration) -> Result<(), String> {
        let end = tokio::time::Instant::now() + patience;
        loop {
            match self.ask(address).await {
                Ok(()) => return Ok(()),
                Err(reason) if tokio::time::Instant::now() >= end => return Err(reason),
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

async fn redis(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"PING\r\n").await?;
    let mut answer = [0_u8; 64];
    let length = stream.read(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer[..length]);
    // A server that wants a password first is alive; LOADING and the like are not ready.
    if answer.starts_with("+PONG") || answer.starts_with("-NOAUTH") {
        Ok(())
    } else {
        Err(io::Error::other(format!("PING was answered with {:?}", answer.trim_end())))
    }
}

/// The server speaks first: packet header (3 bytes length, 1 byte number), then protocol version 10.
/// It does so only when it accepts logins, which is after its init file was executed.
async fn mysql(stream: &mut TcpStream) -> io::Result<()> {
    let mut greeting = [0_u8; 5];
    stream.read_exact(&mut greeting).await?;
    match greeting[4] {
        10 => Ok(()),
        0xff => Err(io::Error::other("the server refuses connections")),
        other => Err(io::Error::other(format!("not a MySQL greeting (protocol {other})"))),
    }
}

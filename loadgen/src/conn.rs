//! One keep-alive connection.
//!
//! Owns the socket, the bytes of an unfinished response and the time-out. Never retries and never decides
//! what a fault means. A whole response usually arrives with one read into a buffer that all connections of
//! a thread share; only the rest of a split response is kept here.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use crate::code::Code;
use crate::frame::{Frame, Head, MAX_RESPONSE_BYTES, frame};

/// Size of the read buffer that the connections of a thread share.
pub(crate) const SCRATCH_BYTES: usize = 16 << 10;

/// The shared read buffer.
pub(crate) type Scratch = RefCell<Box<[u8]>>;

/// A new shared read buffer.
pub(crate) fn new_scratch() -> Scratch {
    RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice())
}

/// Why an exchange brought no response. The connection is useless afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Closed or reset before the response was complete.
    Lost,
    /// Nothing complete within the time-out.
    TimedOut,
    /// Something that is not a response.
    Broken,
}

impl From<Fault> for Code {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Lost => Code::ConnectionLost,
            Fault::TimedOut => Code::TimedOut,
            Fault::Broken => Code::BrokenResponse,
        }
    }
}

/// An open connection with at most one request under way.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    carry: Vec<u8>,
    timer: Pin<Box<Sleep>>,
}

impl Connection {
    /// Connects to the first of the addresses that accepts, each within `timeout`: a name such as `localhost` has several, and a
    /// server need not listen on all of them. The error names every one.
    pub(crate) async fn open_first(addresses: &[SocketAddr], timeout: Duration) -> io::Result<(Self, SocketAddr)> {
        let (mut kind, mut tried) = (io::ErrorKind::AddrNotAvailable, Vec::new());
        for address in addresses {
            match Self::open(*address, timeout).await {
                Ok(connection) => return Ok((connection, *address)),
                Err(error) => {
                    kind = error.kind();
                    tried.push(format!("{address}: {error}"));
                }
            }
        }
        Err(io::Error::new(kind, tried.join("; ")))
    }

    async fn open(address: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = tokio::time::timeout(timeout, TcpStream::connect(address))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, carry: Vec::new(), timer: Box::pin(tokio::time::sleep(timeout)) })
    }

    /// Whether the server has ended the connection, or said something unasked, while it had nothing to do. Costs no system call
    /// where nothing has arrived.
    pub(crate) fn is_stale(&self) -> bool {
        let nothing = self.stream.try_read(&mut [0; 1]);
        !matches!(nothing, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Writes as much as the socket takes at once, usually everything.
    pub(crate) fn send_now(&self, bytes: &[u8]) -> Result<usize, Fault> {
        match self.stream.try_write(bytes) {
            Ok(written) => Ok(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(_) => Err(Fault::Lost),
        }
    }

    /// Writes what [`Self::send_now`] left over.
    pub(crate) async fn send_rest(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), Fault> {
        match tokio::time::timeout_at(deadline, self.stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Fault::Lost),
            Err(_) => Err(Fault::TimedOut),
        }
    }

    /// Waits for one whole response and gives it to `read`.
    pub(crate) async fn receive<T>(
        &mut self,
        scratch: &Scratch,
        deadline: Instant,
        read: impl Fn(Head, &[u8]) -> T,
    ) -> Result<T, Fault> {
        poll_fn(|cx| self.poll_receive(cx, scratch, deadline, &read)).await
    }

    fn poll_receive<T>(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &Scratch,
        deadline: Instant,
        read: &impl Fn(Head, &[u8]) -> T,
    ) -> Poll<Result<T, Fault>> {
        loop {
            let mut scratch = scratch.borrow_mut();
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return self.poll_deadline(cx, deadline).map(Err),
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Fault::Lost)),
                Poll::Ready(Ok(())) => {}
            }
            if let Some(result) = self.take_in(buffer.filled(), read) {
                return Poll::Ready(result);
            }
        }
    }

    /// Looks at freshly read bytes; `None` if the response goes on. No bytes at all mean the end of the stream.
    fn take_in<T>(&mut self, fresh: &[u8], read: &impl Fn(Head, &[u8]) -> T) -> Option<Result<T, Fault>> {
        let ended = fresh.is_empty();
        let split = !self.carry.is_empty();
        if split {
            self.carry.extend_from_slice(fresh);
        }
        let bytes = if split { self.carry.as_slice() } else { fresh };
        let result = match frame(bytes, ended) {
            Frame::Complete(head, body) => Ok(read(head, &body)),
            Frame::Broken => Err(Fault::Broken),
            Frame::Partial if ended => Err(Fault::Lost),
            Frame::Partial if bytes.len() > MAX_RESPONSE_BYTES => Err(Fault::Broken),
            Frame::Partial => {
                if !split {
                    self.carry.extend_from_slice(fresh);
                }
                return None;
            }
        };
        self.carry.clear();
        Some(result)
    }

    /// The timer is not touched per request: when it fires it is moved to the current deadline, so a
    /// connection that keeps answering costs one timer operation per time-out period.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<Fault> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(Fault::TimedOut);
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    #[tokio::test]
    async fn the_first_address_that_accepts_is_taken() {
        // Bound and not listening: it refuses, and nobody else can have its port meanwhile.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (closed_at, open_at) = (closed.local_addr().unwrap(), open.local_addr().unwrap());
        let (_, address) = Connection::open_first(&[closed_at, open_at], PATIENCE).await.unwrap();
        assert_eq!(address, open_at);

        let error = Connection::open_first(&[closed_at, closed_at], PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let text = error.to_string();
        assert_eq!(text.matches(&closed_at.to_string()).count(), 2, "{text}");
    }
}

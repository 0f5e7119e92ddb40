//! Connections: accepting within bounds, closing the silent ones, and letting go at shutdown.
//!
//! A proxy that keeps connections to us may use one in the very moment we close it; then it has lost a purchase and cannot
//! know whether it was decided. So at shutdown a connection is closed by the answer to its next request, which says so, and
//! only those that have none for a while are closed while idle.

use super::request_id::{RequestId, X_REQUEST_ID};
use super::{Answer, handle};
use crate::app::App;
use crate::clock::boot_ms;
use flash_core::limits::{FIRST_BYTE_TIMEOUT_MS, HEAD_MAX_BYTES, HEAD_TIMEOUT_MS, HEADERS_MAX};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;

/// Connections the kernel may queue for us: a whole sale opens its sockets in the same instant.
pub(crate) const BACKLOG: u32 = 4096;
/// How long a connection may stay idle between requests, in milliseconds. Longer than the 60 s of common proxies, so that
/// the proxy and not the daemon ends an idle connection.
const IDLE_TIMEOUT_MS: u64 = 75_000;
/// How often a connection looks at its own age.
const AGE_CHECK: Duration = Duration::from_secs(5);
/// Pause after a failed accept (no file descriptors left, for instance): the loop must not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How many connections are allowed and how they learn that it is time to go.
pub(crate) struct Connections {
    pub(crate) places: Arc<Semaphore>,
    pub(crate) phase: watch::Receiver<Phase>,
}

/// How far a shutdown has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// There is none.
    Open,
    /// Nobody new is accepted, and every answer ends its connection.
    Closing,
    /// Idle connections are closed as well.
    Closed,
}

/// Accepts and serves connections until a shutdown begins.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, connections: Connections) {
    let mut phase = connections.phase.clone();
    loop {
        let accepted = tokio::select! {
            _ = phase.wait_for(|phase| *phase > Phase::Open) => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => welcome(stream, &app, &connections),
            Err(error) => {
                tracing::debug!(%error, "accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    welcome_the_rest(listener, &app, &connections);
}

/// Lets in whom the system has let in already: they may have sent a request, which closing the listener would throw away. The
/// runtime is not asked whether there are any, because it may not have heard of them yet.
fn welcome_the_rest(listener: TcpListener, app: &Arc<App>, connections: &Connections) {
    let Ok(listener) = listener.into_std() else { return };
    for _ in 0..BACKLOG {
        let accepted = listener.accept().and_then(|(stream, _)| {
            stream.set_nonblocking(true)?;
            TcpStream::from_std(stream)
        });
        match accepted {
            Ok(stream) => welcome(stream, app, connections),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // One that has gone again; the next one may not have.
            Err(error) => tracing::debug!(%error, "accept"),
        }
    }
}

fn welcome(stream: TcpStream, app: &Arc<App>, connections: &Connections) {
    match Arc::clone(&connections.places).try_acquire_owned() {
        Ok(place) => {
            app.meters.connections_accepted.one();
            tokio::spawn(serve_one(stream, Arc::clone(app), place, connections.phase.clone()));
        }
        // Closing costs the least; a client that is told nothing tries again later.
        Err(_) => app.meters.connections_refused.one(),
    }
}

/// When a connection last did something, and whether it has ever spoken.
struct Activity {
    /// Its number among all that this process has had.
    connection: u64,
    last_ms: AtomicU64,
    running: AtomicU64,
    requests: AtomicU64,
}

impl Activity {
    fn overdue(&self) -> bool {
        let silent_ms = boot_ms().saturating_sub(self.last_ms.load(Ordering::Relaxed));
        let allowed_ms =
            if self.requests.load(Ordering::Relaxed) == 0 { FIRST_BYTE_TIMEOUT_MS } else { IDLE_TIMEOUT_MS };
        self.running.load(Ordering::Relaxed) == 0 && silent_ms >= allowed_ms
    }
}

async fn serve_one(stream: TcpStream, app: Arc<App>, place: OwnedSemaphorePermit, mut phase: watch::Receiver<Phase>) {
    static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
    app.meters.connections.fetch_add(1, Ordering::Relaxed);
    let _ = stream.set_nodelay(true);
    let activity = Activity {
        connection: CONNECTIONS.fetch_add(1, Ordering::Relaxed),
        last_ms: AtomicU64::new(boot_ms()),
        running: AtomicU64::new(0),
        requests: AtomicU64::new(0),
    };
    let service = service_fn(|request| answer(&app, &activity, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HEAD_TIMEOUT_MS))
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX_BYTES)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut age = tokio::time::interval_at(tokio::time::Instant::now() + AGE_CHECK, AGE_CHECK);
    age.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut leaving = false;
    loop {
        tokio::select! {
            biased;
            // Errors are the client's: malformed heads are answered by hyper itself, everything else is a lost connection.
            _ = connection.as_mut() => break,
            _ = phase.wait_for(|phase| *phase == Phase::Closed), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = age.tick() => if activity.overdue() { break },
        }
    }
    app.meters.connections.fetch_sub(1, Ordering::Relaxed);
    drop(place);
}

/// Counts a request as running until it is answered or abandoned.
struct Running<'a>(&'a Activity);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
        self.0.last_ms.store(boot_ms(), Ordering::Relaxed);
    }
}

async fn answer(app: &App, activity: &Activity, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let number = activity.requests.fetch_add(1, Ordering::Relaxed);
    activity.running.fetch_add(1, Ordering::Relaxed);
    let _running = Running(activity);
    let id = RequestId::of(request.headers(), activity.connection, number);
    let mut answer = match &app.shop {
        Some(shop) => handle(app, shop, request, &id).await,
        None => super::problem::answer(&flash_core::outcome::Refusal::RouteNotFound),
    };
    let headers = answer.headers_mut();
    headers.insert(X_REQUEST_ID, id.into_value());
    if app.control.is_stopping() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(answer)
}

//! Connections: accepting within bounds, closing the silent ones, and letting go at shutdown.

use super::request_id::{RequestId, X_REQUEST_ID};
use super::{Answer, handle};
use crate::app::App;
use crate::clock::boot_ms;
use flash_core::limits::{FIRST_BYTE_TIMEOUT_MS, HEAD_MAX_BYTES, HEAD_TIMEOUT_MS, HEADERS_MAX};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;

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
    pub(crate) draining: watch::Receiver<bool>,
}

/// Accepts and serves connections until draining begins.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, connections: Connections) {
    let Connections { places, mut draining } = connections;
    loop {
        let accepted = tokio::select! {
            _ = draining.wait_for(|draining| *draining) => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                app.meters.connections_accepted.one();
                tokio::spawn(serve_one(stream, Arc::clone(&app), place, draining.clone()));
            }
            // Closing costs the least; a client that is told nothing tries again later.
            Err(_) => app.meters.connections_refused.one(),
        }
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

async fn serve_one(stream: TcpStream, app: Arc<App>, place: OwnedSemaphorePermit, mut draining: watch::Receiver<bool>) {
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
            _ = draining.wait_for(|draining| *draining), if !leaving => {
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
    answer.headers_mut().insert(X_REQUEST_ID, id.into_value());
    Ok(answer)
}

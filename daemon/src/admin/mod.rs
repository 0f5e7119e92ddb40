//! The admin plane: health, readiness, metrics and statistics on a listener, thread and runtime of their own, so that it
//! answers while the API is saturated.

mod health;
mod metrics;
mod stats;

use crate::app::App;
use crate::http::{Answer, problem};
use crate::service::ServiceError;
use flash_core::outcome::Refusal;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Most connections to the admin plane.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take over one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The running admin plane.
pub(crate) struct Admin {
    address: SocketAddr,
    stop: watch::Sender<bool>,
}

impl Admin {
    /// Starts the thread. The listener is handed over from the main runtime.
    pub(crate) fn start(listener: TcpListener, app: Arc<App>) -> Result<Self, ServiceError> {
        let address = listener.local_addr().map_err(ServiceError::Thread)?;
        let listener = listener.into_std().map_err(ServiceError::Thread)?;
        let (stop, stopped) = watch::channel(false);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServiceError::Thread)?;
        let run = move || {
            runtime.block_on(async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, app, stopped).await,
                    Err(error) => tracing::error!(%error, "the admin plane cannot listen"),
                }
            });
        };
        std::thread::Builder::new().name("admin".into()).spawn(run).map_err(ServiceError::Thread)?;
        Ok(Self { address, stop })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }
}

async fn serve(listener: TcpListener, app: Arc<App>, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let stream = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => { tokio::time::sleep(Duration::from_millis(50)).await; continue }
            },
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let answer = route(&app, &request);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // A client that hangs up is its own affair.
            let _ = connection.await;
            drop(place);
        });
    }
}

fn route(app: &App, request: &Request<Incoming>) -> Answer {
    let page = match request.uri().path() {
        "/livez" => health::livez,
        "/readyz" => health::readyz,
        "/metrics" => metrics::metrics,
        "/stats" => stats::stats,
        _ => return problem::answer(&Refusal::RouteNotFound),
    };
    if request.method() == Method::GET { page(app) } else { problem::answer(&Refusal::MethodNotAllowed) }
}

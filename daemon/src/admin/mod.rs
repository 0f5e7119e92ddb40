//! The admin plane: health, readiness, metrics, statistics and the verbs of an operator, on a listener, thread and runtime of
//! their own, so that it answers while the API is saturated. What looks at the servers and notices changes lives here too: it
//! would be late where buyers are answered.
//!
//! Never asks a backend for a page: whatever it tells is in memory already. Never reads a body before it knows who sends it.

mod api;
mod control;
mod guard;
mod health;
mod metrics;
mod pages;
mod problem;
mod refused;
mod skus;
mod stats;
mod watch;
mod worker;

pub(crate) use control::REASON_MAX;
pub(crate) use problem::PROBLEMS;
pub(crate) use stats::{SKUS_DEFAULT, SKUS_MAX};

use crate::app::App;
use crate::http::problem::method_not_allowed;
use crate::http::{Answer, json};
use crate::meters;
use crate::openapi;
use crate::service::ServiceError;
use guard::Guard;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request};
use hyper_util::rt::{TokioIo, TokioTimer};
use pages::Pages;
use refused::Refused;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch as channel;
use tokio::task::AbortHandle;

/// Most connections to the admin plane. One more ends the oldest, so that whoever comes new – a probe, an operator – is heard
/// whatever the others do with theirs.
const CONNECTIONS_MAX: usize = 64;
/// How long a connection may take over the head of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How the scheduler is to treat the thread: what it has to do is little, and is waited for by people.
const NICE: i32 = -10;

/// The running admin plane.
pub(crate) struct Admin {
    address: SocketAddr,
    stop: channel::Sender<bool>,
}

/// What its connections share.
struct Plane {
    app: Arc<App>,
    guard: Guard,
    pages: Pages,
    refused: Arc<Refused>,
}

impl Admin {
    /// Starts the thread. The listener is handed over from the main runtime.
    pub(crate) fn start(listener: TcpListener, app: Arc<App>) -> Result<Self, ServiceError> {
        let address = listener.local_addr().map_err(ServiceError::Thread)?;
        let listener = listener.into_std().map_err(ServiceError::Thread)?;
        let (stop, stopped) = channel::channel(false);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ServiceError::Thread)?;
        let guard = Guard::new(&app.config.admin);
        let pages = Pages::new(Instant::now());
        let plane = Arc::new(Plane { app, guard, pages, refused: Arc::default() });
        let run = move || {
            // For this thread alone, where the system allows it; elsewhere it takes its turn like everybody.
            let _ = rustix::process::setpriority_process(None, NICE);
            runtime.block_on(async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, plane, stopped).await,
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

async fn serve(listener: TcpListener, plane: Arc<Plane>, mut stopped: channel::Receiver<bool>) {
    // They end with the runtime.
    tokio::spawn(meters::watch(Arc::clone(&plane.app)));
    tokio::spawn(watch::watch(Arc::clone(&plane.app)));
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let stream = tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => { tokio::time::sleep(Duration::from_millis(50)).await; continue }
            },
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= CONNECTIONS_MAX
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let _ = stream.set_nodelay(true);
        let plane = Arc::clone(&plane);
        let connection = tokio::spawn(async move {
            let service = service_fn(|request| {
                let plane = Arc::clone(&plane);
                async move { Ok::<_, Infallible>(answer(&plane, request).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            // A client that hangs up is its own affair.
            let _ = connection.await;
        });
        open.push_back(connection.abort_handle());
    }
}

/// A page or a verb.
#[derive(Clone, Copy)]
enum Route {
    OpenApi,
    Livez,
    Readyz,
    Metrics,
    Stats,
    Pause,
    Resume,
    Drain,
    LogFilter,
}

/// Where they are.
const ROUTES: [(&str, Route); 9] = [
    ("/openapi.json", Route::OpenApi),
    ("/livez", Route::Livez),
    ("/readyz", Route::Readyz),
    ("/metrics", Route::Metrics),
    ("/stats", Route::Stats),
    ("/control/pause", Route::Pause),
    ("/control/resume", Route::Resume),
    ("/control/drain", Route::Drain),
    ("/control/log-filter", Route::LogFilter),
];

impl Route {
    fn of(path: &str) -> Option<Self> {
        ROUTES.iter().find(|(known, _)| *known == path).map(|(_, route)| *route)
    }

    /// The methods it has.
    const fn methods(self) -> &'static [Method] {
        match self {
            Self::OpenApi => &[Method::GET, Method::HEAD],
            Self::Livez | Self::Readyz | Self::Metrics | Self::Stats => &[Method::GET],
            Self::Pause | Self::Resume | Self::Drain => &[Method::POST],
            Self::LogFilter => &[Method::GET, Method::PUT],
        }
    }
}

/// Method and path of all of them.
#[cfg(test)]
pub(crate) fn routes() -> std::collections::BTreeSet<(String, String)> {
    let of = |(path, route): &(&str, Route)| {
        route.methods().iter().map(|method| (method.to_string(), (*path).to_owned())).collect::<Vec<_>>()
    };
    ROUTES.iter().flat_map(of).collect()
}

async fn answer(plane: &Plane, request: Request<Incoming>) -> Answer {
    let app = &*plane.app;
    let Some(route) = Route::of(request.uri().path()) else { return problem::not_found() };
    if !route.methods().contains(request.method()) {
        return method_not_allowed(route.methods());
    }
    if !request.method().is_safe()
        && let Err(refused) = plane.guard.check(request.headers())
    {
        plane.refused.note(request.uri().path());
        return refused.answer();
    }
    let uri = request.uri();
    let target = uri.path_and_query().map_or(uri.path(), |target| target.as_str());
    let result = match route {
        Route::OpenApi => return json(openapi::operators()),
        Route::Livez => return health::livez(app),
        Route::Readyz => return health::readyz(app),
        Route::Metrics => return plane.pages.get(uri.path(), || metrics::metrics(app)),
        Route::Stats => {
            let make = || stats::stats(app, uri.query()).unwrap_or_else(|refusal| refusal.answer());
            return plane.pages.get(target, make);
        }
        Route::Pause => control::pause(app, request).await,
        Route::Resume => control::resume(app, request).await,
        Route::Drain => control::drain(app, request).await,
        Route::LogFilter if *request.method() == Method::GET => Ok(control::log_filter(app)),
        Route::LogFilter => control::set_log_filter(app, request).await,
    };
    plane.pages.forget();
    result.unwrap_or_else(|refusal| refusal.answer())
}

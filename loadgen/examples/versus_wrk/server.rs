//! The barest hyper server that speaks the purchase contract: it parses the body and answers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// What every purchase is answered.
#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    SoldOut,
    Wins,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Purchase<'a> {
    user_id: &'a str,
    sku_id: &'a str,
    quantity: u32,
    idempotency_key: &'a str,
}

static NEXT_ORDER: AtomicU64 = AtomicU64::new(1);

/// Listens on a free loopback port, on threads of its own, for as long as the process lives.
pub(crate) fn start(behaviour: Behaviour) -> std::io::Result<SocketAddr> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> std::io::Result<Infallible> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(serve(behaviour, tell))
    });
    told.recv().map_err(std::io::Error::other)
}

async fn serve(behaviour: Behaviour, tell: Sender<SocketAddr>) -> std::io::Result<Infallible> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    tell.send(listener.local_addr()?).ok();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(move |request| answer(request, behaviour));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(request: Request<Incoming>, behaviour: Behaviour) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let understood = serde_json::from_slice::<Purchase<'_>>(&body).is_ok_and(|p| {
        !p.user_id.is_empty() && !p.sku_id.is_empty() && p.quantity > 0 && !p.idempotency_key.is_empty()
    });
    let (status, content_type, body) = match behaviour {
        _ if !understood => (400, "application/problem+json", Bytes::from_static(b"{\"error\":\"VALIDATION_ERROR\"}")),
        Behaviour::SoldOut => (
            410,
            "application/problem+json",
            Bytes::from_static(
                b"{\"type\":\"about:blank\",\"title\":\"Sold out\",\"status\":410,\"error\":\"SOLD_OUT\",\"message\":\"Nothing is left.\",\"final\":true}",
            ),
        ),
        Behaviour::Wins => {
            let order = NEXT_ORDER.fetch_add(1, Ordering::Relaxed) + 300_000_000_000_000_000;
            let body = format!(
                "{{\"success\":true,\"reservationId\":\"{order}\",\"orderId\":\"{order}\",\"expiresAt\":1793000000000,\"message\":\"Reserved.\",\"processingTimeMs\":1}}"
            );
            (200, "application/json", Bytes::from(body))
        }
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(content_type));
    Ok(response)
}

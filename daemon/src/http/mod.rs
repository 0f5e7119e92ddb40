//! The purchase API: routing and the shape of answers. Knows nothing about stock.

pub(crate) mod body;
mod orders;
pub(crate) mod problem;
mod purchase;
mod read;
mod request_id;
mod serve;
mod settle;
mod twins;
mod webhook;

pub(crate) use orders::{PAGE_DEFAULT, PAGE_MAX, may_still_come};
pub(crate) use purchase::won_body;
pub(crate) use serve::{BACKLOG, Connections, Phase, serve};
pub(crate) use twins::Twins;
pub(crate) use webhook::Webhook;

use crate::app::{App, Shop};
use crate::meters::Endpoint;
use crate::openapi;
use bytes::Bytes;
use flash_core::outcome::Refusal;
use http_body_util::Full;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, EXPECT, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, Version};
use request_id::RequestId;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// An answer of the API: always complete in memory.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

const API: &str = "/api/v1/flash/";

/// Where a request goes. Paths are compared as they were sent: no decoding, no normalising, one spelling per resource.
enum Route<'a> {
    Purchase,
    Skus,
    Sku(&'a str),
    Orders,
    Order(&'a str),
    Pay(&'a str),
    Cancel(&'a str),
    Webhook,
    Health,
    OpenApi,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let Some(rest) = path.strip_prefix(API) else {
            return match path {
                "/health" => Some(Self::Health),
                "/openapi.json" => Some(Self::OpenApi),
                _ => None,
            };
        };
        match rest {
            "purchase" => Some(Self::Purchase),
            "skus" => Some(Self::Skus),
            "orders" => Some(Self::Orders),
            "payments/webhook" => Some(Self::Webhook),
            _ => match rest.split_once('/')? {
                ("skus", id) => Some(Self::Sku(id)),
                ("orders", id) => Some(match id.split_once('/') {
                    None => Self::Order(id),
                    Some((id, "pay")) => Self::Pay(id),
                    Some((id, "cancel")) => Self::Cancel(id),
                    Some(_) => return None,
                }),
                _ => None,
            },
        }
    }

    const fn endpoint(&self) -> Endpoint {
        match self {
            Self::Purchase => Endpoint::Purchase,
            Self::Skus => Endpoint::Skus,
            Self::Sku(_) => Endpoint::Sku,
            Self::Orders => Endpoint::Orders,
            Self::Order(_) => Endpoint::Order,
            Self::Pay(_) => Endpoint::Pay,
            Self::Cancel(_) => Endpoint::Cancel,
            Self::Webhook => Endpoint::Webhook,
            Self::Health => Endpoint::Health,
            Self::OpenApi => Endpoint::OpenApi,
        }
    }

    const fn methods(&self) -> &'static [Method] {
        match self {
            Self::Purchase | Self::Pay(_) | Self::Cancel(_) | Self::Webhook => &[Method::POST],
            Self::Skus | Self::Sku(_) | Self::Orders | Self::Order(_) | Self::Health => &[Method::GET],
            Self::OpenApi => &[Method::GET, Method::HEAD],
        }
    }
}

/// Where a path leads, and by which methods.
#[cfg(test)]
pub(crate) fn route(path: &str) -> Option<(Endpoint, &'static [Method])> {
    Route::of(path).map(|route| (route.endpoint(), route.methods()))
}

/// Answers one request.
async fn handle(app: &App, shop: &Shop, request: Request<Incoming>, id: &RequestId) -> Answer {
    let started = Instant::now();
    let expects = request.headers().contains_key(EXPECT) && !request.body().is_end_stream();
    let (endpoint, mut answer, took) = dispatch(app, shop, (request, id), started).await;
    let took = took.unwrap_or_else(|| started.elapsed());
    let status = answer.status().as_u16();
    app.meters.http.answered(endpoint, status, took);
    // Who waits to be told to go on, and is refused by the head, sends no body: the connection ends, and a client that did not hear
    // of it would lose its next request.
    if expects && (endpoint == Endpoint::Other || matches!(status, 413 | 415 | 417)) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// Answers a request; also says how long it took, if somebody had to know already: reading the clock is not for nothing.
async fn dispatch(
    app: &App,
    shop: &Shop,
    (request, id): (Request<Incoming>, &RequestId),
    started: Instant,
) -> (Endpoint, Answer, Option<Duration>) {
    if lacks_host(&request) {
        let refusal = Refusal::Validation("Host: must be sent exactly once".to_owned());
        return (Endpoint::Other, problem::answer(&refusal), None);
    }
    let Some(route) = Route::of(request.uri().path()) else {
        return (Endpoint::Other, problem::answer(&Refusal::RouteNotFound), None);
    };
    if !route.methods().contains(request.method()) {
        return (Endpoint::Other, problem::method_not_allowed(route.methods()), None);
    }
    let endpoint = route.endpoint();
    let answer = match route {
        Route::Purchase => {
            let (answer, took) = purchase::handle(app, shop, (request, id), started).await;
            return (endpoint, answer, Some(took));
        }
        Route::Skus => read::skus(shop),
        Route::Sku(sku_id) => read::sku(shop, sku_id).await,
        Route::Orders => orders::of_user(app, request.uri().query()).await,
        Route::Order(order_id) => orders::one(app, shop, order_id).await,
        Route::Pay(order_id) => {
            let order_id = order_id.to_owned();
            settle::pay(app, shop, &order_id, request).instrument(id.span()).await
        }
        Route::Cancel(order_id) => {
            let order_id = order_id.to_owned();
            settle::cancel(app, shop, &order_id, request).instrument(id.span()).await
        }
        Route::Webhook => webhook::handle(app, shop, request).instrument(id.span()).await,
        Route::Health => read::health(app),
        // Without its body for HEAD: the server sees to that.
        Route::OpenApi => json(openapi::buyers()),
    };
    (endpoint, answer, None)
}

/// RFC 9112 section 3.2: without it, or with two, a proxy before us may have understood another request.
fn lacks_host(request: &Request<Incoming>) -> bool {
    request.version() == Version::HTTP_11 && request.headers().get_all(HOST).iter().count() != 1
}

/// A 200 with a JSON body.
pub(crate) fn json(body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

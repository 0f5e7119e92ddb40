//! The purchase API: routing and the shape of answers. Knows nothing about stock.

mod body;
mod orders;
pub(crate) mod problem;
mod purchase;
mod read;
mod serve;
mod settle;
mod twins;
mod webhook;

pub(crate) use orders::may_still_come;
pub(crate) use serve::{Connections, serve};
pub(crate) use twins::Twins;
pub(crate) use webhook::Webhook;

use crate::app::{App, Shop};
use crate::meters::Endpoint;
use bytes::Bytes;
use flash_core::outcome::Refusal;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};
use std::time::Instant;

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
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        if path == "/health" {
            return Some(Self::Health);
        }
        let rest = path.strip_prefix(API)?;
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
        }
    }

    const fn method(&self) -> Method {
        match self {
            Self::Purchase | Self::Pay(_) | Self::Cancel(_) | Self::Webhook => Method::POST,
            Self::Skus | Self::Sku(_) | Self::Orders | Self::Order(_) | Self::Health => Method::GET,
        }
    }
}

/// Answers one request.
pub(crate) async fn handle(app: &App, shop: &Shop, request: Request<Incoming>) -> Answer {
    let started = Instant::now();
    let (endpoint, answer) = dispatch(app, shop, request, started).await;
    app.meters.http.answered(endpoint, answer.status().as_u16(), started.elapsed());
    answer
}

async fn dispatch(app: &App, shop: &Shop, request: Request<Incoming>, started: Instant) -> (Endpoint, Answer) {
    let Some(route) = Route::of(request.uri().path()) else {
        return (Endpoint::Other, problem::answer(&Refusal::RouteNotFound));
    };
    if *request.method() != route.method() {
        let mut answer = problem::answer(&Refusal::MethodNotAllowed);
        if let Ok(allow) = HeaderValue::from_str(route.method().as_str()) {
            answer.headers_mut().insert(ALLOW, allow);
        }
        return (Endpoint::Other, answer);
    }
    let endpoint = route.endpoint();
    let answer = match route {
        Route::Purchase => purchase::handle(app, shop, request, started).await,
        Route::Skus => read::skus(shop),
        Route::Sku(id) => read::sku(shop, id).await,
        Route::Orders => orders::of_user(app, request.uri().query()).await,
        Route::Order(id) => orders::one(app, shop, id).await,
        Route::Pay(id) => {
            let id = id.to_owned();
            settle::pay(app, shop, &id, request).await
        }
        Route::Cancel(id) => {
            let id = id.to_owned();
            settle::cancel(app, shop, &id, request).await
        }
        Route::Webhook => webhook::handle(app, shop, request).await,
        Route::Health => read::health(app),
    };
    (endpoint, answer)
}

/// A 200 with a JSON body.
pub(crate) fn json(body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

//! The purchase API, as far as buyers need it: purchase, catalogue, one order, health.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, body::Incoming, header, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::{Purchase, Shop, ShopError, Sold};

const API: &str = "/api/v1/flash/";
/// Longest body.
const BODY_MAX_BYTES: usize = 4_096;

/// The body of a purchase.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wish {
    user_id: String,
    sku_id: String,
    #[serde(default = "one")]
    quantity: u32,
    idempotency_key: Option<String>,
}

fn one() -> u32 {
    1
}

impl Wish {
    fn read(body: &[u8]) -> Option<Purchase> {
        let wish: Self = serde_json::from_slice(body).ok()?;
        let fits = (1..=10).contains(&wish.quantity) && wish.idempotency_key.as_ref().is_none_or(|key| key.len() <= 64);
        let (user_id, sku_id) = (wish.user_id.parse().ok()?, wish.sku_id.parse().ok()?);
        fits.then_some(Purchase { user_id, sku_id, quantity: wish.quantity, key: wish.idempotency_key })
    }
}

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, shop: Shop) {
    let shop = Arc::new(shop);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => _ = tokio::spawn(attend(stream, Arc::clone(&shop))),
            // Out of descriptors, for instance: others will go.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
}

async fn attend(stream: TcpStream, shop: Arc<Shop>) {
    _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(&shop, request));
    // A connection that ends in the middle is its buyer's business.
    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(shop: &Shop, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match handle(shop, request).await {
        Ok(answer) => answer,
        Err(error) if error.is_busy() => refusal(503, "OVERLOADED", "all connections to the database are busy"),
        Err(error) => refusal(500, "INTERNAL_ERROR", &error.to_string()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(response)
}

async fn handle(shop: &Shop, request: Request<Incoming>) -> Result<(u16, Value), ShopError> {
    let path = request.uri().path().to_owned();
    let not_found = || refusal(404, "NOT_FOUND", "there is nothing here");
    if path == "/health" {
        return Ok((200, json!({ "status": "ok" })));
    }
    let Some(rest) = path.strip_prefix(API) else { return Ok(not_found()) };
    match (request.method(), rest.split_once('/')) {
        (&Method::POST, None) if rest == "purchase" => purchase(shop, request).await,
        (&Method::GET, None) if rest == "skus" => skus(shop).await,
        (&Method::GET, Some(("orders", id))) => order(shop, id.parse().unwrap_or(0)).await,
        _ => Ok(not_found()),
    }
}

async fn purchase(shop: &Shop, request: Request<Incoming>) -> Result<(u16, Value), ShopError> {
    let started = std::time::Instant::now();
    let body = Limited::new(request.into_body(), BODY_MAX_BYTES).collect().await;
    let purchase = body.ok().and_then(|body| Wish::read(&body.to_bytes()));
    let Some(purchase) = purchase else {
        return Ok(refusal(400, "VALIDATION_ERROR", "userId and skuId are numbers as text, quantity is 1 to 10"));
    };
    Ok(match shop.buy(&purchase).await? {
        Sold::Out => (410, json!({ "error": "SOLD_OUT", "message": "Sold out", "final": true })),
        Sold::UnknownSku => refusal(404, "SKU_NOT_FOUND", "there is no such SKU"),
        Sold::Order(order) => {
            let id = order.order_id.to_string();
            let body = json!({
                "success": true,
                "reservationId": id,
                "orderId": id,
                "expiresAt": order.expires_at_ms,
                "message": "Reservation confirmed. Complete payment within 5 minutes.",
                "processingTimeMs": started.elapsed().as_secs_f64() * 1_000.0,
            });
            (200, body)
        }
    })
}

async fn skus(shop: &Shop) -> Result<(u16, Value), ShopError> {
    let sku = |(sku_id, capacity, left): (u64, i64, i64)| json!({ "skuId": sku_id.to_string(), "name": "", "capacity": capacity, "available": left.max(0) });
    let skus: Vec<Value> = shop.stocks().await?.into_iter().map(sku).collect();
    Ok((200, json!({ "skus": skus })))
}

async fn order(shop: &Shop, order_id: u64) -> Result<(u16, Value), ShopError> {
    Ok(match shop.order(order_id).await? {
        None => refusal(404, "ORDER_NOT_FOUND", "there is no such order"),
        Some(order) => {
            let (id, sku_id) = (order.order_id.to_string(), order.sku_id.to_string());
            let body = json!({ "orderId": id, "skuId": sku_id, "quantity": order.quantity,
                "state": "RESERVED", "expiresAt": order.expires_at_ms });
            (200, body)
        }
    })
}

fn refusal(status: u16, error: &str, message: &str) -> (u16, Value) {
    (status, json!({ "status": status, "error": error, "message": message }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read() {
        let read = |text: &str| Wish::read(text.as_bytes());
        let wish = read(r#"{"userId":"7","skuId":"1","quantity":2,"idempotencyKey":"k"}"#).unwrap();
        assert_eq!(wish, Purchase { user_id: 7, sku_id: 1, quantity: 2, key: Some("k".into()) });
        assert_eq!(read(r#"{"userId":"7","skuId":"1"}"#).unwrap().quantity, 1);
        for bad in ["", "{}", r#"{"userId":"x","skuId":"1"}"#, r#"{"userId":"7","skuId":"1","quantity":11}"#] {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}

//! `POST /api/v1/flash/orders/{orderId}/pay` and `…/cancel`: the shape of the requests and answers.

use super::{Answer, REPLAYED, body, json, problem};
use crate::app::{App, Shop};
use crate::settle::{Fated, Sender, Settler};
use bytes::Bytes;
use flash_core::ids::{OrderId, UserId};
use flash_core::outcome::Refusal;
use flash_core::payment::PayRequest;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use serde::Deserialize;
use serde_json::{Value, json};

/// Handles a wish to pay.
pub(super) async fn pay(app: &App, shop: &Shop, id: &str, request: Request<Incoming>) -> Answer {
    match pay_order(app, shop, id, request).await {
        Ok(answer) => answer,
        Err(refusal) => refused(app, &refusal),
    }
}

async fn pay_order(app: &App, shop: &Shop, id: &str, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let (_, body) = body::read_json(request).await?;
    let paid_order = OrderId::parse(id).map_err(|_| Refusal::OrderNotFound)?;
    let request = PayRequest::parse(&body).map_err(|error| Refusal::Validation(error.to_string()))?;
    let _admitted = shop.admission.admit_settlement()?;
    let fated = Settler::new(app, shop)?.pay(paid_order, &request, Sender::Shop).await?;
    app.meters.paid(&fated);
    let (order_id, replayed) = match fated {
        Fated::Confirmed { replayed } => (paid_order, replayed),
        Fated::Rebooked { order_id, replayed } => (order_id, replayed),
        Fated::Refund { reason } => {
            return Ok(problem::answer(&Refusal::Refunded { payment_id: request.payment_id, reason }));
        }
    };
    let mut answer = json!({
        "success": true,
        "orderId": order_id,
        "state": "CONFIRMED",
        "paymentId": request.payment_id,
        "amount": request.amount_minor,
        "message": "Payment received. The tickets are yours.",
    });
    if order_id != paid_order {
        answer["replacesOrderId"] = json!(paid_order);
        answer["message"] = "The reservation had expired; the same tickets were reserved again and paid for.".into();
    }
    Ok(settled(&answer, replayed))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CancelWire {
    #[serde(default)]
    user_id: Option<UserId>,
}

/// Handles a wish to cancel. A body `{"userId": …}` is optional; if it is there, the order must be that buyer's.
pub(super) async fn cancel(app: &App, shop: &Shop, id: &str, request: Request<Incoming>) -> Answer {
    match cancel_order(app, shop, id, request).await {
        Ok(answer) => answer,
        Err(refusal) => refused(app, &refusal),
    }
}

async fn cancel_order(app: &App, shop: &Shop, id: &str, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let body = body::read_optional_json(request).await?;
    let order_id = OrderId::parse(id).map_err(|_| Refusal::OrderNotFound)?;
    let user_id = if body.is_empty() { None } else { buyer(&body)? };
    let _admitted = shop.admission.admit_settlement()?;
    let replayed = Settler::new(app, shop)?.cancel(order_id, user_id).await?;
    app.meters.cancelled();
    let message = "The reservation was cancelled; its tickets go back on sale.";
    Ok(settled(&json!({ "success": true, "orderId": order_id, "state": "CANCELLED", "message": message }), replayed))
}

fn buyer(body: &[u8]) -> Result<Option<UserId>, Refusal> {
    let refuse = |text: String| Refusal::Validation(format!("body: {}", text.chars().take(160).collect::<String>()));
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(refuse("must be one JSON object".to_owned()));
    }
    let wire: CancelWire = serde_json::from_slice(body).map_err(|error| refuse(error.to_string()))?;
    Ok(wire.user_id)
}

fn settled(body: &Value, replayed: bool) -> Answer {
    let mut answer = json(Bytes::from(body.to_string()));
    if replayed {
        answer.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    answer
}

fn refused(app: &App, refusal: &Refusal) -> Answer {
    app.meters.settle_refused();
    problem::answer(refusal)
}

//! Looking orders up: one with its history and payments, or all of one buyer, page by page. Reads MySQL only.

use super::{Answer, json, problem};
use crate::app::{App, Shop};
use crate::clock::wall_ms;
use bytes::Bytes;
use flash_core::ids::{IdError, OrderId, UserId, parse_canonical};
use flash_core::outcome::Refusal;
use flash_core::payment::RefundReason;
use flash_core::sale::format_price;
use flash_core::snowflake::issued_at_ms;
use flash_stores::mysql::orders::{LedgerRow, OrderRow};
use flash_stores::mysql::projection::PaymentRow;
use flash_stores::mysql::{MySqlError, offsets, orders, payments};
use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use serde_json::{Value, json};
use std::time::Duration;

/// Beyond the producer's patience, how far clocks of different machines may differ before a young order could be called
/// missing, in milliseconds.
const CLOCK_MARGIN_MS: u64 = 10_000;
/// An id from further in the future than this was not issued by any daemon whose clock can be trusted, in milliseconds.
const FUTURE_MARGIN_MS: u64 = 15 * 60 * 1000;
/// How long a look at MySQL may take.
const VIEW_TIMEOUT: Duration = Duration::from_secs(2);
/// Most orders on one page.
pub(crate) const PAGE_MAX: u32 = 100;
/// How many if nobody says.
pub(crate) const PAGE_DEFAULT: u32 = 20;

/// `GET /api/v1/flash/orders/{orderId}`.
pub(super) async fn one(app: &App, shop: &Shop, id: &str) -> Answer {
    let Ok(order_id) = OrderId::parse(id) else { return problem::answer(&Refusal::OrderNotFound) };
    in_time(look_up(app, shop, order_id)).await
}

/// `GET /api/v1/flash/orders?userId=…`: the buyer's orders, newest first. A page shows what MySQL has: an order that was
/// told a moment ago may be missing, and `GET …/orders/{orderId}` says that it is on its way.
pub(super) async fn of_user(app: &App, query: Option<&str>) -> Answer {
    match PageQuery::parse(query.unwrap_or_default()) {
        Ok(page) => in_time(list(app, &page)).await,
        Err(text) => problem::answer(&Refusal::Validation(text)),
    }
}

async fn in_time(look: impl Future<Output = Result<Answer, MySqlError>>) -> Answer {
    match tokio::time::timeout(VIEW_TIMEOUT, look).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => problem::answer(&Refusal::ViewUnavailable),
    }
}

async fn look_up(app: &App, shop: &Shop, order_id: OrderId) -> Result<Answer, MySqlError> {
    // Judged first: an order that is missing from a view read *after* this and older than it does not exist.
    let pending_if_missing = may_still_come(app, shop, order_id).await?;
    if let Some((row, history)) = orders::get_with_history(&app.db, order_id).await? {
        let paid = payments::of_order(&app.db, order_id).await?;
        let mut body = describe(&row);
        body["history"] = history.iter().map(step).collect();
        body["payments"] = paid.iter().map(payment).collect();
        return Ok(json(Bytes::from(body.to_string())));
    }
    Ok(if pending_if_missing { pending(order_id) } else { problem::answer(&Refusal::OrderNotFound) })
}

async fn list(app: &App, page: &PageQuery) -> Result<Answer, MySqlError> {
    // One more than asked for tells whether there is another page.
    let mut rows = orders::page_of_user(&app.db, page.user_id, page.after, page.limit + 1).await?;
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.order.order_id);
    let orders: Vec<Value> = rows.iter().map(describe).collect();
    Ok(json(Bytes::from(json!({ "orders": orders, "next": next }).to_string())))
}

fn describe(row: &OrderRow) -> Value {
    let order = &row.order;
    json!({
        "orderId": order.order_id,
        "reservationId": order.reservation_id,
        "userId": order.user_id,
        "skuId": order.sku_id,
        "state": row.state.as_str(),
        "quantity": order.quantity,
        "unitPrice": format_price(order.unit_price_minor),
        "total": format_price(order.unit_price_minor * u64::from(order.quantity)),
        "reservedAt": order.reserved_at_ms,
        "expiresAt": order.expires_at_ms,
        "updatedAt": row.updated_at_ms,
    })
}

/// One line of the ledger: which state the order reached, and where in the log that stands.
fn step(row: &LedgerRow) -> Value {
    json!({
        "state": row.reason.as_str(),
        "at": row.at_ms,
        "seq": row.seq,
        "delta": row.delta,
        "epoch": row.epoch,
        "partition": row.partition,
        "offset": row.offset,
    })
}

/// Money, in minor units as it was paid.
fn payment(row: &PaymentRow) -> Value {
    json!({
        "paymentId": row.payment.payment_id,
        "amount": row.payment.amount_minor,
        "status": if row.refund.is_some() { "REFUND_PENDING" } else { "CAPTURED" },
        "reason": row.refund.map(RefundReason::as_str),
        "orderId": row.order_id,
    })
}

/// Whether an order that is not in MySQL after this call may still be on its way: it is younger than what the projector has
/// applied, give or take the time its event may need and the difference of clocks. To be asked before it is looked for.
pub(crate) async fn may_still_come(app: &App, shop: &Shop, order_id: OrderId) -> Result<bool, MySqlError> {
    let partitions = usize::try_from(shop.deciders.recorder.partitions().max(1)).unwrap_or(usize::MAX);
    let applied_ms = offsets::applied_ms(&app.db, &app.config.kafka.topic_events(), partitions).await?;
    let issued_ms = issued_at_ms(order_id.get());
    let message_timeout_ms = u64::try_from(app.config.recorder.message_timeout.as_millis()).unwrap_or(u64::MAX);
    let settled_ms = issued_ms.saturating_add(message_timeout_ms).saturating_add(CLOCK_MARGIN_MS);
    Ok(issued_ms <= wall_ms() + FUTURE_MARGIN_MS && applied_ms.is_none_or(|applied_ms| applied_ms < settled_ms))
}

fn pending(order_id: OrderId) -> Answer {
    let body = json!({ "orderId": order_id, "state": "PENDING", "message": "The order is being written down." });
    let mut answer = json(Bytes::from(body.to_string()));
    *answer.status_mut() = StatusCode::ACCEPTED;
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(1u32));
    answer
}

/// Which page is wanted.
#[derive(Debug, PartialEq, Eq)]
struct PageQuery {
    user_id: UserId,
    limit: u32,
    /// The last order of the page before.
    after: Option<OrderId>,
}

impl PageQuery {
    /// Reads the query as strictly as a body is read: every parameter known, once, and with a value. All values are
    /// digits, so nothing is ever percent-encoded.
    fn parse(query: &str) -> Result<Self, String> {
        let bounds = || format!("limit: must be 1 to {PAGE_MAX}");
        let (mut user_id, mut limit, mut after) = (None, None, None);
        for pair in query.split('&').filter(|_| !query.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match name {
                "userId" => &mut user_id,
                "limit" => &mut limit,
                "after" => &mut after,
                _ => return Err("query: knows userId, limit and after only".to_owned()),
            };
            let number = match (name, parse_canonical(value)) {
                (_, Ok(number)) => number,
                ("limit", Err(IdError::Range)) => return Err(bounds()),
                (_, Err(error)) => return Err(format!("{name}: {error}")),
            };
            if place.replace(number).is_some() {
                return Err(format!("{name}: was sent more than once"));
            }
        }
        let limit = limit.map_or(Some(PAGE_DEFAULT), |limit| u32::try_from(limit).ok());
        Ok(Self {
            user_id: UserId::new(user_id.ok_or("userId: is missing")?),
            limit: limit.filter(|limit| *limit <= PAGE_MAX).ok_or_else(bounds)?,
            after: after.map(OrderId::new),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_strictly() {
        let page = |user_id, limit, after: Option<u64>| PageQuery {
            user_id: UserId::new(user_id),
            limit,
            after: after.map(OrderId::new),
        };
        assert_eq!(PageQuery::parse("userId=7"), Ok(page(7, PAGE_DEFAULT, None)));
        assert_eq!(PageQuery::parse("after=9&limit=100&userId=7"), Ok(page(7, 100, Some(9))));
        for bad in [
            "",
            "&",
            "userId",
            "userId=",
            "userId=0",
            "userId=07",
            "userId=-7",
            "userId=%37",
            "userId=7&",
            "&userId=7",
            "userId=7&userId=7",
            "userId=7&limit=0",
            "userId=7&limit=101",
            "userId=7&limit=99999999999",
            "userId=7&limit=1&limit=2",
            "userId=7&after=",
            "userId=7&after=9223372036854775808",
            "userId=7&after=x",
            "userId=7&page=2",
            "userId=7&=",
            "UserId=7",
            "limit=5",
        ] {
            assert!(PageQuery::parse(bad).is_err(), "{bad}");
        }
    }
}

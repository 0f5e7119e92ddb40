//! Looking orders up: what one went through, and all of one buyer.

use flash_core::event::{Body, Event, Order};
use flash_core::ids::{Epoch, OrderId, ReservationId, SkuId, UserId};
use flash_core::order::OrderState::{self, Confirmed, Expired};
use flash_core::payment::{Payment, PaymentId, RefundReason};
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::daemon::Daemon;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::{Answer, Connection};
use serde_json::{Value, json};

async fn get(daemon: &Daemon, path: &str) -> Answer {
    let mut connection = Connection::open(&daemon.api).await.unwrap();
    connection.get(&format!("/api/v1/flash/{path}")).await.unwrap()
}

/// Order ids of a page, and the page after it.
fn page(answer: &Answer) -> (Vec<u64>, Option<String>) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let body = answer.json();
    let id = |order: &Value| order["orderId"].as_str().unwrap().parse().unwrap();
    (body["orders"].as_array().unwrap().iter().map(id).collect(), body["next"].as_str().map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyers_orders_come_page_by_page_and_newest_first() {
    let mut sku = ticket(1, 100);
    sku.per_user = 10;
    let site = Site::open(Own::default(), &[sku]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let mut told = Vec::new();
    for key in 0..7 {
        told.push(buyer.insist(&Purchase::new(5, 1, format!("k{key}"))).await.won().order_id);
        let _ = buyer.insist(&Purchase::new(6, 1, format!("other{key}"))).await.won();
    }
    eventually("the orders to be written down", || async { site.orders().await == 14 }).await;
    told.sort_unstable_by(|left, right| right.cmp(left));

    assert_eq!(page(&get(&daemon, "orders?userId=5").await), (told.clone(), None));
    let (mut seen, mut next) = page(&get(&daemon, "orders?userId=5&limit=3").await);
    assert_eq!(seen.len(), 3);
    // What is bought meanwhile is newer than every page that follows.
    told.insert(0, buyer.insist(&Purchase::new(5, 1, "meanwhile")).await.won().order_id);
    while let Some(after) = next {
        let (more, following) = page(&get(&daemon, &format!("orders?limit=3&after={after}&userId=5")).await);
        assert!(!more.is_empty() && more.len() <= 3, "{more:?}");
        seen.extend(more);
        next = following;
    }
    assert_eq!(seen, told[1..]);
    // A last page that is exactly full has nothing behind it.
    assert_eq!(page(&get(&daemon, &format!("orders?userId=5&limit=7&after={}", told[0])).await).1, None);
    assert_eq!(page(&get(&daemon, "orders?userId=404").await), (Vec::new(), None));
    let first = get(&daemon, "orders?userId=5&limit=1").await.json()["orders"][0].clone();
    assert_eq!((&first["userId"], &first["state"]), (&json!("5"), &json!("RESERVED")));
    assert!(first["updatedAt"].is_u64() && first.get("history").is_none(), "{first}");
    site.finish(&[&daemon]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_is_not_exactly_right_is_refused() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    for bad in [
        "",
        "?",
        "?userId=",
        "?userId=0",
        "?userId=05",
        "?userId=+5",
        "?userId=%35",
        "?userId=9223372036854775808",
        "?userId=5&userId=5",
        "?userId=5&limit=0",
        "?userId=5&limit=101",
        "?userId=5&limit=",
        "?userId=5&after=abc",
        "?userId=5&offset=3",
        "?userId=5&",
        "?limit=5",
    ] {
        let answer = get(&daemon, &format!("orders{bad}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "VALIDATION_ERROR"), "{bad}: {answer:?}");
    }
    let mut connection = Connection::open(&daemon.api).await.unwrap();
    let posted = connection.post("/api/v1/flash/orders?userId=5", "", b"{}").await.unwrap();
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET")));
    assert_eq!(get(&daemon, "orders/").await.status, 404);
    site.finish(&[&daemon]).await;
}

/// An order of a SKU that is not on sale here, so that only the log and MySQL know of it.
fn order(order_id: u64) -> Order {
    Order {
        order_id: OrderId::new(order_id),
        reservation_id: ReservationId::new(order_id + 1),
        user_id: UserId::new(77),
        sku_id: SkuId::new(99),
        quantity: 2,
        unit_price_minor: 4_900,
        seq: order_id,
        idempotency_key: "k".to_owned(),
        reserved_at_ms: 1_000,
        expires_at_ms: 2_000,
    }
}

fn payment(id: &str, paid_order: u64) -> Payment {
    let payment_id = PaymentId::parse(id).unwrap();
    Payment { payment_id, amount_minor: 9_800, paid_order: OrderId::new(paid_order) }
}

/// Writes events of one partition.
async fn log(site: &Site, bodies: Vec<Body>) {
    for (body, at_ms) in bodies.into_iter().zip(1_000..) {
        site.append(3, &Event { epoch: Epoch(1), at_ms, body }.encode().unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_tells_its_history_and_its_payments() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let settled = |state: OrderState, id: u64, payment: Option<Payment>| {
        let seq = id + 1;
        Body::Order { state, seq, order: order(id), payment }
    };
    let refund =
        |id: &str| Body::Refund { order: order(100), payment: payment(id, 100), reason: RefundReason::AlreadyPaid };
    // Order 200 expired; its payment came late and confirmed the new order 300.
    let bodies = vec![
        Body::reserved(order(100)),
        settled(Confirmed, 100, Some(payment("pay-1", 100))),
        refund("pay-2"),
        Body::reserved(order(200)),
        settled(Expired, 200, None),
        Body::reserved(order(300)),
        settled(Confirmed, 300, Some(payment("pay-3", 200))),
    ];
    log(&site, bodies).await;
    eventually("the last event to be applied", || async {
        get(&daemon, "orders/300").await.json()["state"] == "CONFIRMED"
    })
    .await;

    // The fence of the first epoch stands at the beginning of every partition.
    let paid = get(&daemon, "orders/100").await.json();
    assert_eq!(
        (&paid["state"], &paid["updatedAt"], &paid["total"]),
        (&json!("CONFIRMED"), &json!(1_001), &json!("98.00"))
    );
    assert_eq!(
        paid["history"],
        json!([
            { "state": "RESERVED", "at": 1_000, "seq": 100, "delta": -2, "epoch": 1, "partition": 3, "offset": 1 },
            { "state": "CONFIRMED", "at": 1_001, "seq": 101, "delta": 0, "epoch": 1, "partition": 3, "offset": 2 },
        ])
    );
    assert_eq!(
        paid["payments"],
        json!([
            { "paymentId": "pay-1", "amount": 9_800, "status": "CAPTURED", "reason": null, "orderId": "100" },
            { "paymentId": "pay-2", "amount": 9_800, "status": "REFUND_PENDING", "reason": "ALREADY_PAID", "orderId": null },
        ])
    );
    let late =
        json!([{ "paymentId": "pay-3", "amount": 9_800, "status": "CAPTURED", "reason": null, "orderId": "300" }]);
    let expired = get(&daemon, "orders/200").await.json();
    assert_eq!((&expired["state"], &expired["payments"]), (&json!("EXPIRED"), &late));
    assert_eq!(expired["history"][1]["delta"], 2);
    assert_eq!(get(&daemon, "orders/300").await.json()["payments"], late);
    assert_eq!(page(&get(&daemon, "orders?userId=77").await), (vec![300, 200, 100], None));
    site.finish(&[&daemon]).await;
}

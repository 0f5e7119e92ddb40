//! A ticket's life after it was reserved: paid, cancelled, and what both answer ever after.

use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::cashier::{PRICE, Settled, look_up};
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::Connection;
use std::time::{Duration, Instant};

fn refused(status: u16, code: &str) -> Settled {
    Settled::Refused(status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_paid_once_and_stays_paid() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let (a, b) = (site.daemon("all").await, site.daemon("api").await);
    let purchase = Purchase { quantity: 2, ..Purchase::new(1, 1, "k") };
    let told = site.buyer(&[&a]).insist(&purchase).await.won();
    let order = told.order_id;
    // At the other daemon, at once: the projection may not have come to the order yet.
    let mut cashier = site.cashier(&[&b]);
    assert_eq!(cashier.pay(order, "p1", PRICE).await, refused(422, "AMOUNT_MISMATCH"), "one ticket's price for two");
    let paid = cashier.pay(order, "p1", 2 * PRICE).await;
    assert_eq!(paid, Settled::Confirmed { order_id: order, replayed: false });
    for daemon in [&a, &b, &a] {
        let again = site.cashier(&[daemon]).insist_pay(order, "p1", 2 * PRICE).await;
        assert!(matches!(again, Settled::Confirmed { order_id, .. } if order_id == order), "{again:?}");
    }
    assert_eq!(site.stock(1).await.counters.sold, 2);
    eventually("the order to leave Redis", || async {
        site.redis::<u64>(&["HLEN", &site.keys(1).closing]).await == 0
            && site.redis::<u64>(&["HLEN", &site.keys(1).hold]).await == 0
    })
    .await;
    let again = cashier.insist_pay(order, "p1", 2 * PRICE).await;
    assert_eq!(again, Settled::Confirmed { order_id: order, replayed: true });
    // A second payment buys nothing, an id belongs to its order, and a paid order is not cancelled.
    assert_eq!(cashier.insist_pay(order, "p2", 2 * PRICE).await, Settled::Refund("ALREADY_PAID".into()));
    assert_eq!(cashier.insist_cancel(order).await, refused(409, "ALREADY_PAID"));
    let other = site.buyer(&[&a]).insist(&Purchase::new(2, 1, "k")).await.won();
    assert_eq!(cashier.insist_pay(other.order_id, "p1", PRICE).await, refused(422, "PAYMENT_ID_REUSED"));
    // The key's answer is kept although the hold is gone.
    let replay = site.buyer(&[&b]).insist(&purchase).await.won();
    assert_eq!((replay.order_id, replay.reservation_id, replay.replayed), (order, told.reservation_id, true));
    eventually("the view", || async { look_up(&a.api, order).await["state"] == "CONFIRMED" }).await;
    assert_eq!(cashier.pay(123, "p9", 1).await, refused(404, "ORDER_NOT_FOUND"));
    site.finish(&[&a, &b]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_ticket_is_on_sale_again_at_once() {
    let site = Site::open(Own::default(), &[ticket(1, 1)]).await;
    let (a, b) = (site.daemon("all").await, site.daemon("api").await);
    let mut buyer = site.buyer(&[&a]);
    let order = buyer.insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    let sold_out = site.buyer(&[&b]).buy(&Purchase::new(2, 1, "k")).await.refused(410, "SOLD_OUT");
    assert_eq!((&sold_out.json()["final"], &sold_out.json()["held"]), (&false.into(), &1.into()));
    assert!(sold_out.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().unwrap() <= 300));
    let mut cashier = site.cashier(&[&b]);
    assert_eq!(cashier.cancel(order, Some(2)).await, refused(404, "ORDER_NOT_FOUND"), "somebody else's");
    assert_eq!(cashier.cancel(order, Some(1)).await, Settled::Cancelled { replayed: false });
    let started = Instant::now();
    let next = site.buyer(&[&a]);
    let mut next = next;
    // Daemon a has latched "sold out" a moment ago; it must find out by itself.
    let won = loop {
        let said = next.buy(&Purchase::new(3, 1, "k")).await;
        if said.word() == "WON" {
            break said.won();
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{said:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(matches!(cashier.insist_cancel(order).await, Settled::Cancelled { .. }));
    let _ = buyer.insist(&Purchase::new(1, 1, "k")).await.refused(410, "RESERVATION_CANCELLED");
    assert_eq!(cashier.insist_pay(order, "late", PRICE).await, Settled::Refund("CANCELLED".into()));
    assert_eq!(
        cashier.insist_pay(won.order_id, "p", PRICE).await,
        Settled::Confirmed { order_id: won.order_id, replayed: false }
    );
    eventually("the final word", || async {
        let mut late = site.buyer(&[&b]);
        let answer = late.buy(&Purchase::new(4, 1, "k")).await.refused(410, "SOLD_OUT");
        answer.json()["final"] == true && answer.header("retry-after").is_none()
    })
    .await;
    site.finish(&[&a, &b]).await;
}

/// A unit that comes back at one daemon is found by another that has latched "sold out", within the latch's 100 ms; and as
/// long as it latches, nobody is told "sold out" wrongly for longer than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_latch_never_outlives_the_return_of_a_unit() {
    let site = Site::open(Own::default(), &[ticket(1, 1)]).await;
    let (a, b) = (site.daemon("all").await, site.daemon("api").await);
    let mut order = site.buyer(&[&a]).insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    let mut waits = Vec::new();
    for round in 2..42 {
        // Both daemons are latched by a crowd of late comers.
        for user in 0..20 {
            for daemon in [&a, &b] {
                let said = site.buyer(&[daemon]).buy(&Purchase::new(10_000 + user, 1, format!("{round}"))).await;
                let _ = said.refused(410, "SOLD_OUT");
            }
        }
        let (sells, returns) = if round % 2 == 0 { (&a, &b) } else { (&b, &a) };
        assert_eq!(site.cashier(&[returns]).insist_cancel(order).await, Settled::Cancelled { replayed: false });
        eventually("the unit", || async { site.stock(1).await.counters.available == 1 }).await;
        let free = Instant::now();
        let mut buyer = site.buyer(&[sells]);
        let told = loop {
            let said = buyer.buy(&Purchase::new(round, 1, "k")).await;
            if said.word() == "WON" {
                break said.won();
            }
            let _ = said.refused(410, "SOLD_OUT");
        };
        waits.push(free.elapsed());
        order = told.order_id;
    }
    waits.sort_unstable();
    // The latch lasts 100 ms; half of the rounds are given ten times that, whatever else this machine does.
    assert!(waits[waits.len() / 2] < Duration::from_secs(1), "{waits:?}");
    site.finish(&[&a, &b]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strange_wishes_are_refused() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let order = site.buyer(&[&daemon]).insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    let mut wire = Connection::open(&daemon.api).await.unwrap();
    for (path, body, status) in [
        (format!("orders/{order}/pay"), r#"{"paymentId":"p"}"#, 400),
        (format!("orders/{order}/pay"), r#"{"paymentId":"p","amount":"4900"}"#, 400),
        (format!("orders/{order}/pay"), r#"{"paymentId":"a b","amount":4900}"#, 400),
        (format!("orders/{order}/pay"), r#"{"paymentId":"p","amount":4900,"x":1}"#, 400),
        (format!("orders/{order}/pay"), "", 400),
        (format!("orders/{order}/pay"), r#"{"paymentId":"p","amount":4900,"currency":"USD"}"#, 422),
        (format!("orders/0{order}/pay"), r#"{"paymentId":"p","amount":4900}"#, 404),
        (format!("orders/{order}/refund"), r#"{"paymentId":"p","amount":4900}"#, 404),
        (format!("orders/{order}/cancel"), r#"{"userId":1}"#, 400),
        (format!("orders/{order}/cancel"), r#"{"userId":"2"}"#, 404),
        (format!("orders/{order}/cancel"), "[]", 400),
        ("orders/-1/cancel".to_owned(), "{}", 404),
    ] {
        let answer = wire.post(&format!("/api/v1/flash/{path}"), "", body.as_bytes()).await.unwrap();
        assert_eq!(answer.status, status, "{path} {body}: {}", String::from_utf8_lossy(&answer.body));
    }
    let get = wire.get(&format!("/api/v1/flash/orders/{order}/pay")).await.unwrap();
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    assert_eq!(site.stock(1).await.counters.held, 1, "nothing of that changed anything");
    site.finish(&[&daemon]).await;
}

//! The payment provider's notices: believed only with a signature, and as often as they come.

use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::cashier::{PRICE, SECRET, Settled, WEBHOOK, notice, now_s, sign};
use flash_tests::site::{Site, ticket};
use flash_tests::wire::{Answer, Connection};

async fn deliver(address: &str, signature: &str, body: &str) -> Answer {
    let mut wire = Connection::open(address).await.unwrap();
    wire.post(WEBHOOK, &format!("Flash-Signature: {signature}\r\n"), body.as_bytes()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_delivered_five_times_at_once_and_five_times_after_pays_once() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let (a, b) = (site.daemon("all").await, site.daemon("api").await);
    for user in 1..=5 {
        let order = site.buyer(&[&a]).insist(&Purchase::new(user, 1, "k")).await.won().order_id;
        let payment = format!("evt-{user}");
        let mut cashiers: Vec<_> = [&a, &b, &a, &b, &a].map(|daemon| site.cashier(&[daemon])).into();
        let [one, two, three, four, five] = cashiers.as_mut_slice() else { panic!() };
        let notices = tokio::join!(
            one.notice(order, &payment, PRICE),
            two.notice(order, &payment, PRICE),
            three.notice(order, &payment, PRICE),
            four.notice(order, &payment, PRICE),
            five.notice(order, &payment, PRICE),
        );
        let confirmed = Settled::Confirmed { order_id: order, replayed: false };
        for settled in [notices.0, notices.1, notices.2, notices.3, notices.4] {
            assert!(settled == confirmed || settled.is_open(), "{settled:?}");
        }
        for _ in 0..5 {
            assert_eq!(one.insist_notice(order, &payment, PRICE).await, confirmed);
        }
    }
    assert_eq!(site.stock(1).await.counters.sold, 5);
    site.finish(&[&a, &b]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_signed_and_fresh_notices_are_believed() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let previous = "the-secret-before-this-one";
    let daemon = site.daemon_with("all", &[("FLASH_WEBHOOK_SECRET_PREVIOUS", previous)]).await;
    let order = site.buyer(&[&daemon]).insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    let body = notice(order, "p", PRICE);
    for (signature, why) in [
        (sign("not-the-secret-at-all", now_s(), &body), "another secret"),
        (sign(SECRET, now_s() - 3_600, &body), "an old notice"),
        (sign(SECRET, now_s() + 3_600, &body), "from the future"),
        (sign(SECRET, now_s(), &body).replace("v1", "v2"), "no signature that we know"),
        (sign(SECRET, now_s(), &notice(order, "p", 1)), "another body"),
        ("t=,v1=".to_owned(), "nothing"),
    ] {
        let answer = deliver(&daemon.api, &signature, &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "SIGNATURE_INVALID"), "{why}");
    }
    assert_eq!(site.stock(1).await.counters.held, 1, "nobody was believed");
    let other = r#"{"type":"customer.created","id":"c"}"#;
    let ignored = deliver(&daemon.api, &sign(SECRET, now_s(), other), other).await;
    assert_eq!((ignored.status, &ignored.json()["status"]), (200, &"IGNORED".into()));
    let incomplete = r#"{"type":"payment.succeeded","paymentId":"p"}"#;
    assert_eq!(deliver(&daemon.api, &sign(SECRET, now_s(), incomplete), incomplete).await.status, 400);
    // Both secrets are valid while one replaces the other.
    let paid = deliver(&daemon.api, &sign(previous, now_s(), &body), &body).await;
    assert_eq!((paid.status, &paid.json()["status"]), (200, &"CONFIRMED".into()));
    let again = deliver(&daemon.api, &sign(SECRET, now_s(), &body), &body).await;
    assert_eq!((again.status, &again.json()["orderId"]), (200, &order.to_string().into()));
    site.finish(&[&daemon]).await;
}

/// The provider has taken money that does not fit: it is never refused and forgotten, it is to be given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_does_not_fit_is_given_back() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let order = site.buyer(&[&daemon]).insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    let mut cashier = site.cashier(&[&daemon]);
    assert_eq!(cashier.insist_notice(order, "short", PRICE - 1).await, Settled::Refund("AMOUNT".into()));
    let paid = Settled::Confirmed { order_id: order, replayed: false };
    assert_eq!(cashier.insist_notice(order, "right", PRICE).await, paid);
    assert_eq!(cashier.insist_notice(order, "twice", PRICE).await, Settled::Refund("ALREADY_PAID".into()));
    assert_eq!(
        cashier.insist_notice(order, "short", PRICE - 1).await,
        Settled::Refund("AMOUNT".into()),
        "its fate is decided"
    );
    site.finish(&[&daemon]).await;
}

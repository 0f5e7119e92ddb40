//! One answer per key (P4): bad inputs, lines 24, 26, 27, 36 and 37.

use flash_tests::backends::Own;
use flash_tests::buyer::{PURCHASE, Purchase, Said};
use flash_tests::crowd::crowd;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::Connection;
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_purchase_a_hundred_times_in_parallel_is_one_reservation() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let (a, b) = (site.daemon("all").await, site.daemon("api").await);
    let purchase = Purchase { quantity: 2, ..Purchase::new(7, 1, "one-key") };
    let said = crowd(&site, &[&a, &b], vec![purchase.clone(); 100], false).await;
    let mut reservations = BTreeSet::new();
    for said in &said {
        match said {
            Said::Won(told) => drop(reservations.insert(told.reservation_id)),
            Said::Refused(answer) => {
                assert!(matches!(answer.status, 409 | 503) && answer.header("retry-after").is_some(), "{answer:?}");
            }
            Said::Lost => panic!("an answer was lost"),
        }
    }
    assert_eq!(reservations.len(), 1, "{reservations:?}");
    let originals = said.iter().filter(|said| matches!(said, Said::Won(told) if !told.replayed)).count();
    assert!(originals <= 1, "{originals} answers claim to be the first");
    assert_eq!(site.stock(1).await.counters.held, 2, "one effect");
    let again = site.buyer(&[&b]).insist(&purchase).await.won();
    assert!(again.replayed && reservations.contains(&again.reservation_id));
    site.finish(&[&a, &b]).await;
    assert_eq!(reservations.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_belongs_to_one_user_and_one_payload() {
    let site = Site::open(Own::default(), &[ticket(1, 50), ticket(23, 50), ticket(3, 50)]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let first = buyer.insist(&Purchase::new(1, 1, "k")).await.won();
    for quantity in [2, 3, 10] {
        let other = Purchase { quantity, ..Purchase::new(1, 1, "k") };
        let _ = buyer.buy(&other).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    }
    assert_eq!(site.stock(1).await.counters.held, 1, "a refusal changes nothing");
    let same = buyer.insist(&Purchase::new(1, 1, "k")).await.won();
    assert_eq!((same.order_id, same.replayed), (first.order_id, true));
    // Another user may use the same key; and 1 + "23", 12 + "3" are four different names.
    let mut orders = BTreeSet::from([first.order_id]);
    for (user_id, sku_id, key) in
        [(2, 1, "k"), (1, 23, "k23"), (12, 3, "k3"), (1, 1, "23"), (12, 1, "3"), (123, 1, "1")]
    {
        orders.insert(buyer.insist(&Purchase::new(user_id, sku_id, key)).await.won().order_id);
    }
    assert_eq!(orders.len(), 7);
    // Ids above 2^53 and the largest of all are exact.
    let largest = i64::MAX.unsigned_abs();
    for user_id in [9_007_199_254_740_993, 9_007_199_254_740_992, largest - 1, largest] {
        orders.insert(buyer.insist(&Purchase::new(user_id, 1, "k")).await.won().order_id);
    }
    assert_eq!(orders.len(), 11, "neighbours are not the same user");
    site.finish(&[&daemon]).await;
}

/// A key belongs to the buyer, not to a SKU. Who is refused for it takes no stock, also when both are asked for at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_used_for_another_sku_is_refused() {
    let site = Site::open(Own::default(), &[ticket(1, 50), ticket(2, 50)]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let _ = buyer.insist(&Purchase::new(1, 1, "k")).await.won();
    let _ = buyer.insist(&Purchase::new(1, 2, "k")).await.refused(422, "IDEMPOTENCY_KEY_REUSED");
    let both = (10..30).flat_map(|user| [Purchase::new(user, 1, "k"), Purchase::new(user, 2, "k")]).collect();
    let said = crowd(&site, &[&daemon], both, true).await;
    for pair in said.chunks(2) {
        let words = [pair[0].word(), pair[1].word()];
        let wins = words.iter().filter(|word| *word == "WON").count();
        assert_eq!(wins, 1, "one key for two SKUs at once: {words:?}");
    }
    site.finish(&[&daemon]).await;
}

/// The key may come in the header, in the body, or not at all; client clocks are of no interest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_in_the_header_are_keys() {
    let site = Site::open(Own::default(), &[ticket(1, 50)]).await;
    let daemon = site.daemon("all").await;
    let mut connection = Connection::open(&daemon.api).await.unwrap();
    let bare = br#"{"userId":"5","skuId":"1"}"#;
    let header = "Idempotency-Key: from-header\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    let first = connection.post(PURCHASE, header, bare).await.unwrap();
    assert_eq!(first.status, 200, "{first:?}");
    let replay = connection.post(PURCHASE, header, bare).await.unwrap();
    assert_eq!(replay.header("idempotent-replayed"), Some("true"));
    assert_eq!(replay.json()["orderId"], first.json()["orderId"]);
    let body = br#"{"userId":"5","skuId":"1","idempotencyKey":"from-header"}"#;
    assert_eq!(connection.post(PURCHASE, "", body).await.unwrap().json()["orderId"], first.json()["orderId"]);
    for headers in ["Idempotency-Key: another\r\n", "Idempotency-Key: a\r\nIdempotency-Key: a\r\n"] {
        assert_eq!(connection.post(PURCHASE, headers, body).await.unwrap().status, 400, "{headers}");
    }
    let without = connection.post(PURCHASE, "", bare).await.unwrap();
    assert_ne!(without.json()["orderId"], first.json()["orderId"], "no key: a purchase of its own");
    assert_eq!(site.stock(1).await.counters.held, 2);
    site.finish(&[&daemon]).await;
}

/// One daemon sells a unit that has come back while another one still says "sold out" from memory: who has won hears the same
/// there, however soon they ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_win_of_a_moment_ago_is_known_where_sold_out_is_said_from_memory() {
    let site = Site::open(Own::default(), &[ticket(1, 1)]).await;
    let (a, b) = (site.daemon("all").await, site.daemon("api").await);
    // They want two, so that the unit is never theirs, and keep the latch of b renewed.
    let mut crowd = site.buyer(&[&b]);
    let crowd = tokio::spawn(async move {
        for user in 10_000.. {
            let _ = crowd.buy(&Purchase { quantity: 2, ..Purchase::new(user, 1, "two") }).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let (mut seller, mut other, mut cashier) = (site.buyer(&[&a]), site.buyer(&[&b]), site.cashier(&[&a]));
    for user in 1..=15 {
        let purchase = Purchase::new(user, 1, "one");
        let won = loop {
            if let Said::Won(told) = seller.buy(&purchase).await {
                break told;
            }
        };
        let again = other.buy(&purchase).await.won();
        assert_eq!((again.order_id, again.replayed), (won.order_id, true), "round {user}");
        // Until a has no latch of its own.
        tokio::time::sleep(Duration::from_millis(120)).await;
        let _ = cashier.cancel(won.order_id, Some(user)).await;
    }
    crowd.abort();
    let _ = crowd.await;
    site.finish(&[&a, &b]).await;
}

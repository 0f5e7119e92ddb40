//! MySQL away: selling goes on, and the orders arrive when it is back.

use crate::turn;
use flash_tests::backends::Own;
use flash_tests::crowd::Rush;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::Connection;
use std::time::Duration;

/// Ten seconds without MySQL.
const OUTAGE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn selling_goes_on_without_mysql_and_the_orders_arrive() {
    let _turn = turn().await;
    let site = Site::open(Own { mysql: true, ..Own::default() }, &[ticket(1, 100_000)]).await;
    let daemon = site.daemon("all").await;
    let rush = Rush::start(&site, &[&daemon], 1, 16);
    rush.more_wins(50).await;
    eventually("the first orders", || async { site.orders().await > 0 }).await;
    site.stack.mysql().kill9().await.unwrap();
    let outage = tokio::time::sleep(OUTAGE);
    rush.more_wins(300).await;
    // Looking at orders is the one thing that needs MySQL: a typed 503, not a wrong "no".
    let answer = Connection::open(&daemon.api).await.unwrap().get("/api/v1/flash/orders/123456789").await.unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "VIEW_UNAVAILABLE"), "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    outage.await;
    let words = rush.words();
    assert!(words.keys().all(|word| word == "WON"), "buyers notice nothing: {words:?}");
    site.stack.mysql().restart().await.unwrap();
    rush.more_wins(50).await;
    let words = rush.stop().await;
    assert!(words.keys().all(|word| word == "WON"), "{words:?}");
    let won = i64::try_from(words["WON"]).unwrap();
    eventually("all orders", || async { site.orders().await == won }).await;
    site.finish(&[&daemon]).await;
}

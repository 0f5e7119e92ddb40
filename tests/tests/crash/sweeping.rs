//! A worker dies while it ends holds that nobody paid for; another one finishes that, and each unit comes back once.

use crate::turn;
use flash_core::sale::Sku;
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};

pub(crate) const POINTS: &[&str] =
    &["sweep.taken", "settle.queued", "settle.recorded", "settle.remembered", "settle.finished"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_dies_while_it_sweeps() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[Sku { hold_ms: 1_000, ..ticket(1, 20) }]).await;
    let api = site.daemon("api").await;
    for (user, point) in (1..).zip(POINTS) {
        let doomed = site.doomed("worker", point).await;
        let _ = site.buyer(&[&api]).insist(&Purchase::new(user, 1, "k")).await.won();
        doomed.died_at(point).await;
    }
    let worker = site.daemon("worker").await;
    eventually("every unit", || async { site.stock(1).await.counters.available == 20 }).await;
    site.finish(&[&api, &worker]).await;
}

//! A daemon dies while it sells; the buyers ask another one, with their keys.

use crate::turn;
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::crowd::{crowd, tally};
use flash_tests::site::{Site, ticket};

pub(crate) const POINTS: &[&str] = &[
    "purchase.admitted",
    "purchase.gathered",
    "purchase.claimed",
    "purchase.decided",
    "purchase.kept",
    "purchase.queued",
    "purchase.acknowledged",
    "purchase.answered",
];
/// Buyers at each point.
const BUYERS: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_dies_while_it_sells() {
    let _turn = turn().await;
    let site = Site::open(Own::default(), &[ticket(1, 1_000)]).await;
    let other = site.daemon("all").await;
    for (users, point) in (1_u64..).step_by(100).zip(POINTS) {
        let doomed = site.doomed("api", point).await;
        doomed.ready().await;
        let purchases: Vec<Purchase> = (users..users + BUYERS).map(|user| Purchase::new(user, 1, *point)).collect();
        let first = crowd(&site, &[&doomed], purchases.clone(), false).await;
        doomed.died_at(point).await;
        assert!(tally(&first).contains_key("LOST"), "{point}: somebody got no answer: {first:?}");
        let again = tally(&crowd(&site, &[&other], purchases, true).await);
        assert_eq!(again["WON"], BUYERS, "{point}: {again:?}");
    }
    // Everybody has exactly one unit, whatever the dead had decided.
    let held = site.stock(1).await.counters.held;
    assert_eq!(u64::from(held), BUYERS * POINTS.len() as u64);
    site.finish(&[&other]).await;
}

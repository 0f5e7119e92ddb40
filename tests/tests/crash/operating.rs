//! The operator's tool dies between two stores; running it again completes what it left, and in between too little is sold,
//! never too much.

use crate::turn;
use flash_tests::backends::Own;
use flash_tests::books::Exceptions;
use flash_tests::buyer::Purchase;
use flash_tests::site::Site;

pub(crate) const SETUP: &[&str] = &["setup.migrated", "setup.topics", "setup.written"];
pub(crate) const MORE: &[&str] = &["load.marked", "load.created"];
pub(crate) const TERMS: &[&str] = &["setup.configured"];
pub(crate) const CHANGES: &[&str] = &["edit.written", "capacity.raised", "capacity.lowered", "capacity.agreed"];

async fn ran(site: &Site, args: &str, crash_at: Option<&str>) {
    let args: Vec<&str> = args.split(' ').collect();
    let ran = site.flashctl_dying(&args, crash_at).await;
    match crash_at {
        Some(point) => ran.died_at(point),
        None => assert_eq!(ran.exit, 0, "{args:?}: {ran:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_whose_tool_dies_goes_on_where_it_was() {
    let _turn = turn().await;
    let site = Site::bare(Own::default()).await;
    let setup = "setup --partitions 4 --sku 1=20@49.00 --yes";
    for point in SETUP {
        ran(&site, setup, Some(point)).await;
    }
    ran(&site, setup, None).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let _ = buyer.insist(&Purchase::new(1, 1, "k")).await.won();

    // A SKU that is marked and not there looks lost: the next run fills Redis anew.
    for (sku, point) in (2..).zip(MORE) {
        let more = format!("setup --sku {sku}=20@49.00 --yes");
        ran(&site, &more, Some(point)).await;
        ran(&site, &more, None).await;
        let _ = buyer.insist(&Purchase::new(1, sku, format!("k{sku}"))).await.won();
    }
    for point in TERMS {
        ran(&site, setup, Some(point)).await;
        ran(&site, setup, None).await;
    }
    let changes = [
        ("sku set-per-user 1 1 --why test", 20, 20),
        ("sku set-capacity 1 30 --why test", 20, 30),
        ("sku set-capacity 1 25 --why test", 25, 25),
        ("sku set-capacity 1 22 --why test", 22, 22),
    ];
    for ((change, halfway, whole), point) in changes.into_iter().zip(CHANGES) {
        ran(&site, change, Some(point)).await;
        let counters = site.stock(1).await.counters;
        assert_eq!(counters.available + counters.held, halfway, "{point}");
        ran(&site, change, None).await;
        let counters = site.stock(1).await.counters;
        assert_eq!(counters.available + counters.held, whole, "{point}");
    }
    let _ = buyer.insist(&Purchase::new(1, 1, "again")).await.refused(409, "LIMIT_REACHED");
    site.finish_except(&[&daemon], Exceptions { rebuilt: true, ..Exceptions::default() }).await;
}

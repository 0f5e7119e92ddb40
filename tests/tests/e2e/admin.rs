//! The admin plane tells the truth: its document against what buyers were told, its pages against bad questions, and who is
//! listed as running.

use flash_core::ids::SkuId;
use flash_core::stats::{HappeningKind, SkuState, Stats};
use flash_stack::Fault;
use flash_stores::mysql::daemons;
use flash_tests::backends::Own;
use flash_tests::buyer::Purchase;
use flash_tests::daemon::Daemon;
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use flash_tests::wire::Connection;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_agrees_with_what_buyers_were_told() {
    let site = Site::open(Own::default(), &[ticket(1, 3), ticket(2, 100), ticket(3, 5)]).await;
    let (a, b) = (site.daemon("all").await, site.daemon("api").await);
    let mut buyer = site.buyer(&[&a]);
    let order = buyer.insist(&Purchase::new(1, 1, "k")).await.won().order_id;
    let _ = buyer.insist(&Purchase { quantity: 2, ..Purchase::new(2, 1, "k") }).await.won();
    for user in 3..6 {
        let _ = buyer.buy(&Purchase::new(user, 1, "k")).await.refused(410, "SOLD_OUT");
    }
    let _ = site.cashier(&[&a]).insist_pay(order, "p", 4_900).await;
    let stats = a.stats().await;
    assert_eq!((stats.role.as_str(), stats.ready, stats.draining), ("all", true, false));
    assert!(stats.unready.is_empty() && stats.paused.is_none() && stats.node.is_some(), "{stats:?}");
    assert!(!stats.instance.is_empty() && stats.instance != b.stats().await.instance);
    let api = stats.api.as_ref().unwrap();
    let told = |status: &str, reason: &str| {
        api.outcomes.iter().find(|one| one.status == status && one.reason == reason).map(|one| one.count)
    };
    assert_eq!((told("won", "reserved"), told("refused", "sold_out")), (Some(2), Some(3)));
    assert_eq!(told("refused", "rate_limited"), Some(0), "zero is told as zero");
    assert!(api.epoch.open && api.epoch.lease_age_ms.is_some() && api.epoch.lease_max_ms == 5_000, "{:?}", api.epoch);
    assert_eq!((api.sku_count, api.in_flight, api.unacknowledged), (3, 0, 0));

    // Through the other daemon nobody has bought anything, and it knows all the same, also what happens now.
    let first = |stats: &Stats| stats.api.as_ref().unwrap().skus[0].clone();
    eventually("fresh counters", || async {
        let sku = first(&b.stats().await);
        (sku.available, sku.held, sku.sold, sku.state) == (Some(0), Some(2), Some(1), SkuState::HeldOut)
    })
    .await;
    let _ = buyer.insist(&Purchase::new(7, 2, "k")).await.won();
    eventually("the sale of another daemon", || async {
        let sku = b.api_stats().await.skus[1].clone();
        sku.available == Some(99) && sku.held == Some(1) && sku.seen_ms_ago < Some(10_000)
    })
    .await;
    eventually("the projection", || async { a.worker_stats().await.projector.events >= 4 }).await;
    assert!(b.stats().await.worker.is_none());
    site.finish(&[&a, &b]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skus_are_picked_by_how_busy_they_are_and_bad_questions_are_refused() {
    let site = Site::open(Own::default(), &[ticket(1, 10), ticket(2, 10), ticket(3, 10)]).await;
    let daemon = site.daemon("all").await;
    let mut buyer = site.buyer(&[&daemon]);
    let _ = buyer.insist(&Purchase { quantity: 2, ..Purchase::new(1, 3, "k") }).await.won();
    let _ = buyer.insist(&Purchase::new(1, 2, "l")).await.won();
    let listed = async |query: &str| {
        let answer = daemon.admin(&format!("/stats{query}")).await.unwrap();
        let stats: Stats = serde_json::from_slice(&answer.body).unwrap();
        let api = stats.api.unwrap();
        assert_eq!(api.sku_count, 3);
        api.skus.iter().map(|sku| sku.sku_id.get()).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, [1, 2, 3]);
    assert_eq!(listed("?skus=2").await, [2, 3]);
    assert_eq!(listed("?skus=1").await, [3]);
    assert!(listed("?skus=0").await.is_empty());
    for query in ["?", "?skus", "?skus=x", "?skus=-1", "?skus=10001", "?skus=1&skus=1", "?sku=1"] {
        let answer = daemon.admin(&format!("/stats{query}")).await.unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "VALIDATION_ERROR"), "{query}");
    }
    let mut admin = Connection::open(&daemon.admin).await.unwrap();
    for (path, allow) in [("/stats", "GET"), ("/livez", "GET"), ("/metrics", "GET"), ("/readyz", "GET")] {
        let answer = admin.post(path, "", b"{}").await.unwrap();
        assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{path}");
    }
    assert_eq!(admin.get("/").await.unwrap().status, 404);
    assert_eq!(admin.get("/control/pause").await.unwrap().header("allow"), Some("POST"));
    assert_eq!(admin.post("/control/log-filter", "", b"{}").await.unwrap().header("allow"), Some("GET, PUT"));
    site.finish(&[&daemon]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_told_once_in_order() {
    let site = Site::open(Own::default(), &[ticket(1, 1)]).await;
    let daemon = site.daemon("all").await;
    let _ = site.buyer(&[&daemon]).insist(&Purchase::new(1, 1, "k")).await.won();
    let texts = |stats: &Stats, kind: HappeningKind| {
        let of_kind = stats.events.iter().filter(|event| event.kind == kind);
        of_kind.map(|event| event.text.clone()).collect::<Vec<_>>()
    };
    eventually("the last unit to be gone", || async {
        texts(&daemon.stats().await, HappeningKind::Sku).iter().any(|text| text.contains("on hold"))
    })
    .await;
    eventually("readiness", || async { !texts(&daemon.stats().await, HappeningKind::Ready).is_empty() }).await;
    assert_eq!(site.flashctl(&["sale", "pause", "1", "--why", "x"]).await.exit, 0);
    eventually("the pause", || async {
        texts(&daemon.stats().await, HappeningKind::Sku).iter().any(|text| text == "paused")
    })
    .await;
    let paused = daemon.api_stats().await.skus[0].state;
    assert_eq!(paused, SkuState::Paused);
    site.rebuild().await;
    eventually("the new epoch", || async { texts(&daemon.stats().await, HappeningKind::Epoch).len() >= 3 }).await;
    let stats = daemon.stats().await;
    assert_eq!(texts(&stats, HappeningKind::Node).len(), 1, "{:?}", stats.events);
    let epochs = texts(&stats, HappeningKind::Epoch);
    assert!(epochs[0].contains("1 is open") && epochs[1].contains("2 is announced"), "{epochs:?}");
    assert!(epochs[2].contains("2 is open"), "{epochs:?}");
    let numbers: Vec<u64> = stats.events.iter().map(|event| event.number).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    site.finish_except(&[&daemon], flash_tests::books::Exceptions { rebuilt: true, ..Default::default() }).await;
}

async fn listed(site: &Site) -> BTreeSet<String> {
    daemons::list(&site.db).await.unwrap().into_iter().map(|daemon| daemon.told.admin_url).collect()
}

fn url(daemon: &Daemon) -> String {
    format!("http://{}", daemon.admin)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn daemons_are_listed_while_they_run() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let sells = site.daemon("all").await;
    let works = site.daemon_with("worker", &[("FLASH_ADMIN_ADVERTISE", "http://worker.example:3900/")]).await;
    let both = BTreeSet::from([url(&sells), "http://worker.example:3900".to_owned()]);
    eventually("both", || async { listed(&site).await == both }).await;
    let all = daemons::list(&site.db).await.unwrap();
    let of_role = |role: &str| all.iter().find(|daemon| daemon.told.role == role).unwrap();
    assert_eq!(of_role("all").told.api_url.as_deref(), Some(format!("http://{}", sells.api).as_str()));
    assert_eq!(of_role("all").told.instance, sells.stats().await.instance);
    assert_eq!((of_role("worker").told.api_url.as_deref(), of_role("worker").told.node), (None, None));
    let node = sells.stats().await.node;
    eventually("its node id", || async {
        daemons::list(&site.db).await.unwrap().iter().any(|daemon| node.is_some() && daemon.told.node == node)
    })
    .await;
    works.terminate();
    assert_eq!(works.ended().await.code, 0);
    assert_eq!(listed(&site).await, BTreeSet::from([url(&sells)]), "who stops says so");
    site.finish(&[&sells]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_mysql_the_admin_plane_answers_as_ever() {
    let (site, links) = Site::linked(&[ticket(1, 100)]).await;
    let daemon = site.daemon("all").await;
    // Silence is worse than a refusal: whoever asks waits.
    links.mysql.set(Fault::HalfOpen).await;
    let mut buyer = site.buyer(&[&daemon]);
    for user in 1..6 {
        let _ = buyer.insist(&Purchase::new(user, 1, "k")).await.won();
        let asked = Instant::now();
        let sku = daemon.api_stats().await.skus[0].clone();
        assert!(asked.elapsed() < Duration::from_secs(10), "{:?}: nobody waits for MySQL here", asked.elapsed());
        assert_eq!(sku.sku_id, SkuId::new(1));
    }
    // One that has never seen MySQL says what it lacks.
    let late = site.start_daemon("api", &[]).await;
    let stats = late.stats().await;
    assert!(!stats.ready && stats.unready.contains_key("catalogue"), "{stats:?}");
    assert_eq!(stats.api.unwrap().sku_count, 0);
    links.mysql.heal().await;
    late.ready().await;
    site.finish(&[&daemon, &late]).await;
}

/// Whoever takes connections and says nothing keeps nobody else out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_do_not_shut_the_admin_plane() {
    let site = Site::open(Own::default(), &[ticket(1, 10)]).await;
    let daemon = site.daemon("all").await;
    let mut silent = Vec::new();
    for _ in 0..150 {
        silent.push(Connection::open(&daemon.admin).await.unwrap());
    }
    for _ in 0..3 {
        let answer = daemon.admin("/readyz").await.unwrap();
        assert_eq!(answer.status, 200);
    }
    assert!(silent[0].closed(Duration::from_secs(5)).await, "the oldest had to go");
    site.finish(&[&daemon]).await;
}

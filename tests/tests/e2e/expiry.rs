//! Holds that nobody pays for: they end by Redis' clock, come back once, and are sold again.

use flash_core::sale::Sku;
use flash_tests::backends::Own;
use flash_tests::buyer::{Purchase, Said, Told};
use flash_tests::cashier::{PRICE, Settled};
use flash_tests::crowd::{crowd, tally};
use flash_tests::eventually;
use flash_tests::site::{Site, ticket};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

fn held_for(seconds: u64, sku_id: u64, capacity: u32) -> Sku {
    Sku { hold_ms: seconds * 1000, ..ticket(sku_id, capacity) }
}

fn refused(status: u16, code: &str) -> Settled {
    Settled::Refused(status, code.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unpaid_ticket_comes_back_and_a_late_payment_finds_another_or_is_refunded() {
    let site = Site::open(Own::default(), &[held_for(4, 1, 2)]).await;
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    let mut buyer = site.buyer(&[&api]);
    let first = buyer.insist(&Purchase::new(1, 1, "k")).await.won();
    let second = buyer.insist(&Purchase::new(2, 1, "k")).await.won();
    let held_out = buyer.buy(&Purchase::new(3, 1, "k")).await.refused(410, "SOLD_OUT");
    assert_eq!((&held_out.json()["final"], &held_out.json()["held"]), (&false.into(), &2.into()));
    let wait: u64 = held_out.header("retry-after").and_then(|seconds| seconds.parse().ok()).unwrap();
    assert!((1..=4).contains(&wait), "the earliest hold ends in {wait} s");
    eventually("both units", || async { site.stock(1).await.counters.available == 2 }).await;
    let _ = buyer.insist(&Purchase::new(1, 1, "k")).await.refused(410, "RESERVATION_EXPIRED");
    let mut cashier = site.cashier(&[&api]);
    assert_eq!(cashier.insist_cancel(first.order_id).await, refused(410, "RESERVATION_EXPIRED"));
    // Late, and units are free: the same buyer gets another order, once, however often it is reported.
    let Settled::Confirmed { order_id: again, replayed } = cashier.insist_pay(first.order_id, "late-1", PRICE).await
    else {
        panic!("units were free")
    };
    assert!(again != first.order_id && !replayed);
    for _ in 0..3 {
        let more = cashier.insist_pay(first.order_id, "late-1", PRICE).await;
        assert!(matches!(more, Settled::Confirmed { order_id, .. } if order_id == again), "{more:?}");
    }
    // A second payment for the same order is one too many, as for an order that was paid in time.
    assert_eq!(cashier.insist_notice(first.order_id, "late-2", PRICE).await, Settled::Refund("ALREADY_PAID".into()));
    assert_eq!(cashier.insist_pay(first.order_id, "late-1", PRICE + 1).await, refused(422, "AMOUNT_MISMATCH"));
    let _ = buyer.insist(&Purchase::new(6, 1, "k")).await.won();
    // Nothing is free any more: the money is to be given back.
    assert_eq!(cashier.insist_notice(second.order_id, "late-3", PRICE).await, Settled::Refund("EXPIRED".into()));
    assert_eq!(cashier.insist_pay(second.order_id, "late-3", PRICE).await, Settled::Refund("EXPIRED".into()));
    assert_eq!(site.stock(1).await.counters.sold, 1);
    site.finish(&[&api, &worker]).await;
}

/// A hold has ended and is not given back yet. Its own units stand in the way of the late payment – under the cap, and in the stock –
/// and that is no reason to give the money back: they are on their way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_payment_waits_for_its_own_ended_hold() {
    let capped = Sku { per_user: 1, ..held_for(1, 1, 10) };
    let site = Site::open(Own::default(), &[capped, held_for(1, 2, 1)]).await;
    // Without a worker nobody gives anything back.
    let api = site.daemon("api").await;
    let mut buyer = site.buyer(&[&api]);
    let at_cap = buyer.insist(&Purchase::new(1, 1, "k")).await.won();
    let last_unit = buyer.insist(&Purchase::new(1, 2, "l")).await.won();
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let mut cashier = site.cashier(&[&api]);
    for (told, payment) in [(&at_cap, "cap"), (&last_unit, "unit")] {
        assert_eq!(cashier.pay(told.order_id, payment, PRICE).await, refused(503, "ORDER_PENDING"), "{payment}");
        assert_eq!(cashier.notice(told.order_id, payment, PRICE).await, refused(503, "ORDER_PENDING"), "{payment}");
    }
    let worker = site.daemon("worker").await;
    for (told, payment) in [(&at_cap, "cap"), (&last_unit, "unit")] {
        let paid = cashier.insist_pay(told.order_id, payment, PRICE).await;
        assert!(
            matches!(paid, Settled::Confirmed { order_id, .. } if order_id != told.order_id),
            "{payment}: {paid:?}"
        );
    }
    // The cap holds all the same.
    let _ = buyer.insist(&Purchase::new(1, 1, "more")).await.refused(409, "LIMIT_REACHED");
    assert_eq!((site.stock(1).await.counters.sold, site.stock(2).await.counters.sold), (1, 1));
    site.finish(&[&api, &worker]).await;
}

/// Pay, cancel and the end of the hold, all at the same instant, a thousand times: each order ends exactly once (the books
/// check it order by order), and whoever was told how was told the truth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pay_against_cancel_against_expiry_a_thousand_times() {
    const ORDERS: u64 = 1_000;
    // Long enough to have sold all of them before the first one ends, on a machine with other work too.
    let site = Site::open(Own::default(), &[held_for(10, 1, 2_000)]).await;
    let (a, b) = (site.daemon("all").await, site.daemon("all").await);
    let purchases = (1..=ORDERS).map(|user| Purchase::new(user, 1, "k")).collect();
    let told: Vec<Told> = crowd(&site, &[&a, &b], purchases, true).await.into_iter().map(Said::won).collect();
    let now_ms: (u64, u64) = site.redis(&["TIME"]).await;
    let (now_ms, began) = (now_ms.0 * 1000 + now_ms.1 / 1000, Instant::now());
    let mut races = JoinSet::new();
    for (index, one) in told.into_iter().enumerate() {
        let (mut payer, mut leaver) = (site.cashier(&[&a, &b]), site.cashier(&[&b, &a]));
        races.spawn(async move {
            // From well before the end to well after it.
            let end_ms = one.expires_at_ms.saturating_sub(now_ms);
            let at_ms = (end_ms + index as u64 % 200).saturating_sub(150);
            tokio::time::sleep_until((began + Duration::from_millis(at_ms)).into()).await;
            let payment = format!("race-{}", one.order_id);
            tokio::join!(payer.insist_pay(one.order_id, &payment, PRICE), leaver.insist_cancel(one.order_id))
        });
    }
    let (mut paid, mut cancelled, mut late) = (0, 0, 0);
    for (payer, leaver) in races.join_all().await {
        match (payer, leaver) {
            (Settled::Confirmed { .. }, Settled::Refused(409, _)) => paid += 1,
            (Settled::Refund(reason), Settled::Cancelled { .. }) if reason == "CANCELLED" => cancelled += 1,
            // Expired: paid for other units, or refunded.
            (Settled::Confirmed { .. } | Settled::Refund(_), Settled::Refused(410, _)) => late += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(paid + cancelled + late, ORDERS);
    assert!(late > 0 && paid + cancelled > 0, "no race: {paid} paid, {cancelled} cancelled, {late} expired");
    site.finish(&[&a, &b]).await;
}

/// Twenty thousand holds end at once while as many buyers wait: every unit is sold again once, none twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expiry_storm_is_resold_to_the_last_unit() {
    const UNITS: u32 = 20_000;
    const PER_BUYER: u32 = 10;
    let storm = Sku { per_user: PER_BUYER, ..held_for(25, 1, UNITS) };
    let site = Site::open(Own::default(), &[storm]).await;
    let (a, b) = (site.daemon("all").await, site.daemon("all").await);
    first_wave(&site, &[&a, &b], UNITS, PER_BUYER).await;
    assert_eq!(site.stock(1).await.counters.held, UNITS);
    let mut waiting = JoinSet::new();
    for user in 0..u64::from(UNITS / PER_BUYER) {
        let order = if user % 2 == 0 { [&a, &b] } else { [&b, &a] };
        let mut buyer = site.buyer(&order);
        waiting.spawn(async move {
            let purchase = Purchase { quantity: PER_BUYER, ..Purchase::new(1_000_000 + user, 1, "second") };
            let started = Instant::now();
            loop {
                match buyer.insist(&purchase).await {
                    Said::Won(told) => return told,
                    said => drop(said.refused(410, "SOLD_OUT")),
                }
                assert!(started.elapsed() < Duration::from_secs(90), "no ticket for {purchase:?}");
                tokio::time::sleep(Duration::from_millis(250)).await;
            }
        });
    }
    let won = waiting.join_all().await;
    assert_eq!(won.len(), (UNITS / PER_BUYER) as usize);
    let counters = site.stock(1).await.counters;
    assert_eq!((counters.available, counters.held + counters.closing), (0, UNITS), "{counters:?}");
    // The second wave's holds end as well, sooner or later; the books are balanced in between.
    let paid: Vec<u64> = won.iter().map(|told| told.order_id).collect();
    pay_all(&site, &[&a, &b], paid, u64::from(PER_BUYER) * PRICE).await;
    assert_eq!(site.stock(1).await.counters.sold, UNITS);
    site.finish(&[&a, &b]).await;
}

/// Takes every unit, one hold each.
async fn first_wave(site: &Site, daemons: &[&flash_tests::daemon::Daemon], units: u32, per_buyer: u32) {
    let mut tasks = JoinSet::new();
    for lane in 0..100 {
        let mut buyer = site.buyer(daemons);
        tasks.spawn(async move {
            for hold in (lane..units).step_by(100) {
                let (user, key) = (1 + u64::from(hold / per_buyer), format!("{}", hold % per_buyer));
                let _ = buyer.insist(&Purchase::new(user, 1, key)).await.won();
            }
        });
    }
    let _ = tasks.join_all().await;
}

async fn pay_all(site: &Site, daemons: &[&flash_tests::daemon::Daemon], orders: Vec<u64>, amount: u64) {
    let mut tasks = JoinSet::new();
    for (index, lane) in orders.chunks(100).enumerate() {
        let (lane, mut cashier) = (lane.to_vec(), site.cashier(&[daemons[index % daemons.len()]]));
        tasks.spawn(async move {
            for order_id in lane {
                let paid = cashier.insist_pay(order_id, &format!("pay-{order_id}"), amount).await;
                assert!(matches!(paid, Settled::Confirmed { .. }), "{paid:?}");
            }
        });
    }
    let _ = tasks.join_all().await;
}

/// Many workers sweep the same holds; each comes back once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_sweepers_give_back_each_unit_once() {
    let site = Site::open(Own::default(), &[held_for(2, 1, 500), held_for(2, 2, 500)]).await;
    let daemons = [site.daemon("all").await, site.daemon("worker").await, site.daemon("worker").await];
    for round in 0..2 {
        let purchases =
            (1..=500).flat_map(|user| (1..=2).map(move |sku| Purchase::new(user, sku, format!("{round}-{sku}"))));
        let said = crowd(&site, &[&daemons[0]], purchases.collect(), true).await;
        assert_eq!(tally(&said).get("WON"), Some(&1_000), "{:?}", tally(&said));
        for sku_id in [1, 2] {
            eventually("all units", || async { site.stock(sku_id).await.counters.available == 500 }).await;
        }
    }
    assert_eq!(site.stock(1).await.counters.seq, 2 * 2 * 500, "one step down and one up per hold");
    site.finish(&[&daemons[0], &daemons[1], &daemons[2]]).await;
}

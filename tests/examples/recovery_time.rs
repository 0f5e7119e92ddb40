//! How long selling stops when Redis is killed: `kill -9`, an empty Redis right behind it, no human. Prints a table.
//!
//! `cargo run --profile ci -p flash-tests --example recovery_time --features flashd/faults -- ORDERS SKUS [DEAD_SKUS]`
//! (defaults: 100000 1 0; DEAD_SKUS are SKUs that nobody has bought from). Needs `flashd` of the same profile.

#![expect(clippy::unwrap_used, reason = "a measurement: a panic is the report")]
#![expect(clippy::print_stdout, reason = "the table is its answer")]

use flash_core::event::{Body, Event, Order};
use flash_core::fence::Step;
use flash_core::ids::{Epoch, OrderId, ReservationId, SkuId, UserId};
use flash_stores::kafka::append::append;
use flash_tests::backends::Own;
use flash_tests::buyer::{Purchase, Said};
use flash_tests::daemon::Daemon;
use flash_tests::site::{PARTITIONS, Site, ticket};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

/// Events that are appended at once.
const CHUNK: u64 = 20_000;
/// How often the worker is asked where it is.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let numbers: Vec<u64> = std::env::args().skip(1).map(|text| text.parse().unwrap()).collect();
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let (orders, skus, dead) = (number(0, 100_000), number(1, 1), number(2, 0));
    let tickets: Vec<_> = (1..=skus + dead).map(|sku| ticket(sku, 1_000_000)).collect();
    let site = Site::open(Own::default(), &tickets).await;
    for first in (0..orders).step_by(20_000) {
        write(&site, first..(first + CHUNK).min(orders), skus).await;
    }
    let (api, worker) = (site.daemon("api").await, site.daemon("worker").await);
    projected(&worker, orders).await;
    let buyer = async |user| site.buyer(&[&api]).buy(&Purchase::new(user, 1, "k")).await;
    assert!(matches!(buyer(1_u64 << 40).await, Said::Won(_)), "selling goes on before the fault");

    let began = Instant::now();
    site.stack.redis().kill9().await.unwrap();
    site.stack.redis().restart().await.unwrap();
    let back = began.elapsed();
    let (told, steps) = tokio::join!(until_sold(buyer, began), watch(&worker, began));
    let (refused, sold) = told;
    println!("live orders {orders}, SKUs {}, D 5 s; seconds since kill -9:", skus + dead);
    let line = |what: &str, at: Option<Duration>| {
        println!("{what:<24} {}", at.map_or("-".to_owned(), |at| format!("{:8.2}", at.as_secs_f64())));
    };
    line("Redis back, empty", Some(back));
    line("first refusal", refused);
    for step in Step::ALL {
        line(step.as_str(), steps.get(&step.number()).copied());
    }
    line("first 200", Some(sold));
    let stopped_ms = api.api_stats().await.stops.last_stop_ms;
    println!("told by the API: selling stopped for {} ms", stopped_ms.unwrap_or(0));
    eprintln!("the worker's last words:\n{}", worker.last_lines().join("\n"));
    site.abandon().await;
}

/// Reservations as a daemon would have recorded them under the first epoch.
async fn write(site: &Site, orders: std::ops::Range<u64>, skus: u64) {
    let now_ms = u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let event = |number: u64| {
        let order = Order {
            order_id: OrderId::new(number + 1),
            reservation_id: ReservationId::new(number + 1),
            user_id: UserId::new(number + 1),
            sku_id: SkuId::new(1 + number % skus),
            quantity: 1,
            unit_price_minor: 4_900,
            seq: 1 + number / skus,
            idempotency_key: format!("key-of-{number}"),
            reserved_at_ms: now_ms,
            expires_at_ms: now_ms + 3_600_000,
        };
        let event = Event { epoch: Epoch(1), at_ms: now_ms, body: Body::reserved(order) };
        let partition = i32::try_from(number % 64).unwrap() % PARTITIONS;
        (partition, number.to_string(), event.encode().unwrap())
    };
    let records: Vec<_> = orders.map(event).collect();
    let (kafka, topic) = (site.kafka.clone(), site.kafka.topic_events());
    tokio::task::spawn_blocking(move || append(&kafka, &topic, &records, PATIENCE)).await.unwrap().unwrap();
}

async fn projected(worker: &Daemon, orders: u64) {
    let began = Instant::now();
    while worker.worker_stats().await.projector.events < orders {
        assert!(began.elapsed() < PATIENCE, "the events are not projected");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// When the first purchase was refused, and when one was told 200 again.
async fn until_sold(buyer: impl AsyncFn(u64) -> Said, began: Instant) -> (Option<Duration>, Duration) {
    let mut refused = None;
    for user in (1_u64 << 40) + 1.. {
        match buyer(user).await {
            Said::Won(_) if refused.is_some() => break,
            Said::Refused(answer) if answer.status == 503 => _ = refused.get_or_insert_with(|| began.elapsed()),
            _ => {}
        }
        assert!(began.elapsed() < PATIENCE, "nothing is sold");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    (refused, began.elapsed())
}

/// When the worker was first seen at each step.
async fn watch(worker: &Daemon, began: Instant) -> BTreeMap<u8, Duration> {
    let mut seen = BTreeMap::new();
    loop {
        let rebuild = worker.worker_stats().await.rebuild;
        if rebuild.step_number > 0 {
            seen.entry(rebuild.step_number).or_insert_with(|| began.elapsed());
        }
        if rebuild.rebuilds > 0 || began.elapsed() > PATIENCE {
            return seen;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

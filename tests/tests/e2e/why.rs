//! `flashctl why`: every way a ticket can go, and every way stores can disagree about one, as an operator is told of it.

use flash_core::event::{Body, Event, Order};
use flash_core::ids::{Epoch, OrderId, ReservationId, SkuId, UserId};
use flash_core::sale::Sku;
use flash_core::snowflake::{SNOWFLAKE_ZERO_MS, partition_of};
use flash_tests::backends::{Broker, Own};
use flash_tests::books::Exceptions;
use flash_tests::buyer::Purchase;
use flash_tests::cashier::{PRICE, Settled};
use flash_tests::eventually;
use flash_tests::operator::Ran;
use flash_tests::site::{PARTITIONS, Site, ticket};
use serde_json::{Value, json};

/// Asks about an order until MySQL has come so far that the story is of this kind.
async fn why(site: &Site, order_id: u64, kind: &str) -> Value {
    let id = order_id.to_string();
    let mut last = Value::Null;
    for _ in 0..60 {
        let said = site.flashctl(&["why", &id, "-o", "json"]).await;
        if said.exit == 0 {
            last = said.json();
            let applied = last["timeline"].as_array().unwrap().iter().any(|step| step["where"] == "MySQL");
            if last["verdict"]["kind"] == kind && applied {
                assert_eq!((&last["contradictions"], &last["notAsked"]), (&json!([]), &json!([])), "{last}");
                return last;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("order {order_id} is not {kind}: {last}");
}

fn stands(story: &Value) -> &str {
    story["verdict"]["stands"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_of_a_ticket_is_explained() {
    let site = Site::open(Own::default(), &[ticket(1, 20), Sku { hold_ms: 2_000, ..ticket(2, 1) }]).await;
    let daemon = site.daemon("all").await;
    let (mut buyer, mut cashier) = (site.buyer(&[&daemon]), site.cashier(&[&daemon]));
    let held = buyer.insist(&Purchase { quantity: 2, ..Purchase::new(1, 1, "k:1") }).await.won();
    let paid = buyer.insist(&Purchase::new(2, 1, "k")).await.won().order_id;
    let left = buyer.insist(&Purchase::new(3, 1, "k")).await.won().order_id;
    let unpaid = buyer.insist(&Purchase::new(4, 2, "k")).await.won().order_id;
    assert!(matches!(cashier.insist_pay(paid, "pi_1", PRICE).await, Settled::Confirmed { .. }));
    assert!(matches!(cashier.insist_cancel(left).await, Settled::Cancelled { .. }));
    eventually("the end of a hold", || async { site.stock(2).await.counters.available == 1 }).await;

    let story = why(&site, held.order_id, "reserved").await;
    assert!(stands(&story).contains("2 units are held for the buyer until"), "{story}");
    assert_eq!(story["buyerUnits"], 2);
    let story = why(&site, paid, "sold").await;
    assert!(stands(&story).contains("Paid by pi_1 with 49.00 EUR"), "{story}");
    let story = why(&site, left, "cancelled").await;
    assert!(stands(&story).contains("1 unit is back on sale"), "{story}");
    let story = why(&site, unpaid, "expired").await;
    assert!(stands(&story).contains("It expired unpaid after 2s; 1 unit is back on sale"), "{story}");

    let Settled::Confirmed { order_id: again, .. } = cashier.insist_pay(unpaid, "late", PRICE).await else {
        panic!("a unit was free")
    };
    assert_eq!(cashier.insist_pay(paid, "twice", PRICE).await, Settled::Refund("ALREADY_PAID".into()));
    let story = why(&site, again, "sold").await;
    assert!(stands(&story).contains(&format!("The buyer paid late for order {unpaid}")), "{story}");
    let story = why(&site, unpaid, "expired").await;
    assert!(stands(&story).contains(&format!("units were reserved again as order {again}")), "{story}");
    assert_eq!(story["verdict"]["next"], json!([format!("flashctl why {again}")]));
    eventually("the refund in MySQL", || async {
        let story = site.flashctl(&["why", "payment:twice", "-o", "json"]).await;
        story.exit == 0
            && stands(&story.json()).contains("Payment twice of 49.00 EUR is to be given back: another payment")
    })
    .await;

    // The same order by whatever is in hand.
    let reservation = held.reservation_id.to_string();
    for args in [&["why", &reservation][..], &["why", "--user", "1"], &["why", "user:1", "--key", "k:1"]] {
        let said = site.flashctl(args).await;
        let headline = format!("order {} · SKU 1 · user 1 · 2 units · reserved", held.order_id);
        assert!(said.exit == 0 && said.stdout.starts_with(&headline), "{args:?}: {said:?}");
    }
    let whole = site.flashctl(&["why", &paid.to_string(), "--scan", "-o", "json"]).await.json();
    let logged = |step: &&Value| step["where"] == "log";
    // The refund of the second payment has no ledger row: only a scan finds it.
    assert_eq!(whole["timeline"].as_array().unwrap().iter().filter(logged).count(), 3, "{whole}");

    let unknown = site.flashctl(&["why", "383006771100254208"]).await;
    assert_eq!((unknown.exit, unknown.stdout.as_str()), (1, ""), "{unknown:?}");
    assert!(unknown.stderr.contains("it was drawn at 2026-11-22T21:32:10"), "{unknown:?}");
    assert_eq!(site.flashctl(&["why", "--user", "1", "--key", "never"]).await.exit, 1);
    assert_eq!(site.flashctl(&["why", "--key", "k"]).await.exit, 2, "whose key?");
    site.finish(&[&daemon]).await;
}

/// An order that was never sold, with the id of a few milliseconds ago.
fn invented(node: u64, epoch: u64, seq: u64) -> (u64, Vec<u8>) {
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let now_ms = u64::try_from(now_ms).unwrap();
    let id = (now_ms - SNOWFLAKE_ZERO_MS) << 22 | node << 12;
    let order = Order {
        order_id: OrderId::new(id),
        reservation_id: ReservationId::new(id + 1),
        user_id: UserId::new(77),
        sku_id: SkuId::new(1),
        quantity: 1,
        unit_price_minor: PRICE,
        seq,
        idempotency_key: "k".to_owned(),
        reserved_at_ms: now_ms,
        expires_at_ms: now_ms + 300_000,
    };
    let event = Event { epoch: Epoch(epoch), at_ms: now_ms, body: Body::reserved(order) };
    (id, event.encode().unwrap())
}

async fn append(site: &Site, id: u64, payload: &[u8]) {
    let partitions = u32::try_from(PARTITIONS).unwrap();
    site.append(i32::try_from(partition_of(id, partitions)).unwrap(), payload).await;
}

fn names(said: &Ran) -> Vec<String> {
    let found = said.json()["contradictions"].as_array().unwrap().clone();
    found.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_count_and_what_disagrees_is_named() {
    let site = Site::open(Own::default(), &[ticket(1, 20)]).await;
    let second = site.rebuild().await;
    assert_eq!(second, Epoch(2));
    let daemon = site.daemon("all").await;
    let told = site.buyer(&[&daemon]).insist(&Purchase::new(1, 1, "k")).await.won();
    why(&site, told.order_id, "reserved").await;

    // Decided under the first epoch, written behind the second one's fence.
    let (void, payload) = invented(1_000, 1, 1);
    append(&site, void, &payload).await;
    let story = why(&site, void, "void").await;
    assert!(stands(&story).contains("was decided under epoch 1 and stands behind fence 2"), "{story}");
    assert!(story["verdict"]["told"].as_str().unwrap().starts_with("Nobody was told yes"), "{story}");

    // An event of a layout nobody knows.
    let (parked, payload) = invented(1_001, 2, 1);
    let payload = String::from_utf8(payload).unwrap().replace("\"v\":1", "\"v\":9");
    append(&site, parked, payload.as_bytes()).await;
    eventually("the dead letter", || async {
        let said = site.flashctl(&["why", &parked.to_string(), "-o", "json"]).await;
        said.exit == 0 && said.json()["verdict"]["kind"] == "parked"
    })
    .await;
    let said = site.flashctl(&["why", &parked.to_string()]).await;
    assert!(said.stdout.contains("next: flashctl dlq replay "), "{said:?}");

    // A hold that nobody has recorded: a minute old, as a daemon that died would leave it.
    let (orphan, _) = invented(1_002, 2, 0);
    let now: (u64, u64) = site.redis(&["TIME"]).await;
    let now_ms = now.0 * 1_000;
    let (began, ends) = (now_ms - 60_000, now_ms + 240_000);
    let (keys, id) = (site.keys(1), orphan.to_string());
    let details = format!("{}:9:1:{PRICE}:2:{began}:{ends}:lonely", orphan + 1);
    site.redis::<()>(&["HSET", &keys.hold, &id, &details]).await;
    site.redis::<()>(&["ZADD", &keys.holds, &ends.to_string(), &id]).await;
    for (field, by) in [("available", "-1"), ("held", "1"), ("seq", "1")] {
        site.redis::<()>(&["HINCRBY", &keys.stock, field, by]).await;
    }
    for args in [&["why", &id, "-o", "json"][..], &["why", "--user", "9", "-o", "json"]] {
        let said = site.flashctl(args).await;
        assert_eq!((said.exit, names(&said)), (3, vec!["ORPHAN_HOLD".to_owned()]), "{said:?}");
        let story = said.json();
        assert!(stands(&story).contains("Asking again with key lonely records it; otherwise it expires at"), "{story}");
        assert_eq!(story["contradictions"][0]["next"], "flashctl reconcile --sku 1 --fix");
    }

    // A hold that Redis has forgotten.
    let bought = told.order_id.to_string();
    let forgotten: String = site.redis(&["HGET", &keys.hold, &bought]).await;
    site.redis::<()>(&["HDEL", &keys.hold, &bought]).await;
    let said = site.flashctl(&["why", &bought, "-o", "json"]).await;
    assert_eq!((said.exit, names(&said)), (3, vec!["MISSING_HOLD".to_owned()]), "{said:?}");
    site.redis::<()>(&["HSET", &keys.hold, &bought, &forgotten]).await;
    why(&site, told.order_id, "reserved").await;

    // A part that does not answer is told, and the others are asked all the same.
    site.stack.redis().pause().unwrap();
    let said = site.flashctl(&["why", &bought, "-o", "json"]).await;
    site.stack.redis().resume().unwrap();
    assert_eq!((said.exit, said.json()["verdict"]["kind"].as_str()), (4, Some("reserved")), "{said:?}");
    assert_eq!(said.json()["notAsked"][0]["part"], "Redis");
    daemon.ready().await;
    // The invented hold has taken the sequence number of no event, and the letter waits.
    let exceptions = Exceptions { orphans_max: 1, dead_letters: 1, rebuilt: true };
    site.finish_except(&[&daemon], exceptions).await;
}

/// A broker that is frozen costs a few seconds once, not for each thing that is asked of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_log_is_said_and_the_others_explain_the_ticket() {
    let site = Site::open(Own { kafka: Some(Broker::Memory), ..Own::default() }, &[ticket(1, 20)]).await;
    let daemon = site.daemon("all").await;
    let told = site.buyer(&[&daemon]).insist(&Purchase::new(1, 1, "k")).await.won();
    why(&site, told.order_id, "reserved").await;
    site.stack.kafka().pause().unwrap();
    let asked = std::time::Instant::now();
    let said = site.flashctl(&["why", &told.order_id.to_string(), "-o", "json"]).await;
    let took = asked.elapsed();
    let doctor = site.flashctl(&["doctor", "-o", "json"]).await;
    site.stack.kafka().resume().unwrap();
    assert_eq!((said.exit, said.json()["verdict"]["kind"].as_str()), (4, Some("reserved")), "{said:?}");
    let silent: Vec<_> = said.json()["notAsked"].as_array().unwrap().clone();
    assert_eq!(silent.len(), 3, "log, dead letters and epochs: {silent:?}");
    assert!(silent.iter().all(|part| part["reason"] == "not readable (timed out after 5 s)"), "{silent:?}");
    assert!(took.as_secs() < 15, "three parts of one silent server took {took:?}");
    assert_ne!(doctor.exit, 0, "{doctor:?}");
    daemon.ready().await;
    site.finish(&[&daemon]).await;
}

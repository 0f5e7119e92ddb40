//! Dead letters on a real broker and a real MariaDB: parked, repaired, replayed exactly once, given up.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod support;

use flash_core::event::Event;
use flash_core::ids::{Epoch, OrderId};
use flash_core::limits::REPLAYS_MAX;
use flash_core::order::OrderState::{Cancelled, Confirmed, Expired, Reserved};
use flash_stores::kafka::dead_letter::{DEAD_LETTER_VERSION, DeadLetter, DeadLetters};
use flash_stores::mysql::author::Author;
use flash_stores::mysql::{offsets, orders};
use flashd::dead_letters::{Desk, Letter, LetterStatus, Outcome, Refused, Shelf};
use flashd::projector::{catch_up, wait_for_offsets};
use std::time::{Duration, Instant};
use support::{PATIENCE, Site, event, fence};

const APPLIED: Outcome = Outcome::Applied { refilled_since: false };

fn by(why: &str) -> Author {
    Author::new("tester", why).unwrap()
}

/// The database refuses some orders, until [`repair`].
async fn refuse_orders(site: &Site, condition: &str) {
    let trigger = format!(
        "CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW \
         IF {condition} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not this one'; END IF"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&site.sql).await.unwrap();
}

async fn repair(site: &Site) {
    sqlx::raw_sql("DROP TRIGGER refuse").execute(&site.sql).await.unwrap();
}

/// Applies what is in the log, and reads all letters.
async fn shelf(site: &Site, desk: &Desk) -> Shelf {
    catch_up(&site.options, PATIENCE).await.unwrap();
    desk.letters(|_, _| true).await.unwrap()
}

fn letter_at(shelf: &Shelf, offset: u64) -> &Letter {
    shelf.letters.iter().find(|letter| letter.parked.offset == offset).expect("the letter is there")
}

/// Everything a replay could change.
async fn rows(site: &Site) -> [i64; 5] {
    [
        site.number("SELECT COUNT(*) FROM orders").await,
        site.number("SELECT CAST(COALESCE(SUM(updated_at_ms * 3 + seq + epoch), 0) AS SIGNED) FROM orders").await,
        site.number("SELECT CAST(COALESCE(SUM(CAST(delta AS SIGNED) * 7 + CAST(seq AS SIGNED) + CAST(offset_no AS SIGNED)), 0) AS SIGNED) FROM inventory_audit").await,
        site.number("SELECT COUNT(*) FROM payments").await,
        site.number("SELECT COUNT(*) FROM voided_events").await,
    ]
}

#[tokio::test]
async fn a_repaired_letter_is_applied_exactly_once() {
    let site = Site::new(1).await;
    let desk = Desk::open(&site.options);
    refuse_orders(&site, "NEW.order_id IN (3, 5)").await;
    let mut events: Vec<Event> = (1..=6).map(|id| event(id, 1, Reserved)).collect();
    events.extend([event(5, 1, Confirmed), event(4, 1, Cancelled)]);
    site.events(&events).await;
    let before = shelf(&site, &desk).await;
    let offsets: Vec<u64> = before.letters.iter().map(|letter| letter.parked.offset).collect();
    assert_eq!(offsets, [2, 4, 6], "what was refused, in log order: {before:?}");
    assert_eq!(letter_at(&before, 6).event().unwrap(), event(5, 1, Confirmed));

    // Not repaired yet: an attempt, an error, and nothing written – not even what came before the refusal.
    let failed = desk.replay(letter_at(&before, 2), &by("too early"), false).await.unwrap();
    let Outcome::Failed(error) = failed else { panic!("{failed:?}") };
    assert!(error.contains("not this one"), "{error}");
    assert_eq!(site.number("SELECT COUNT(*) FROM inventory_audit WHERE order_id = 3").await, 0);

    repair(&site).await;
    for letter in &before.letters {
        assert_eq!(desk.replay(letter, &by("repaired"), false).await.unwrap(), APPLIED);
    }
    assert_eq!(orders::get(&site.db, OrderId::new(3)).await.unwrap().unwrap().state, Reserved);
    assert_eq!(orders::get(&site.db, OrderId::new(5)).await.unwrap().unwrap().state, Confirmed);
    assert_eq!(site.number("SELECT COUNT(*) FROM payments WHERE order_id = 5").await, 1);
    let origins = "SELECT COUNT(*) FROM inventory_audit WHERE (order_id, offset_no) IN ((3, 2), (5, 4), (5, 6))";
    assert_eq!(site.number(origins).await, 3, "the ledger says where in the log each event stands");
    site.assert_balanced().await;

    let after = shelf(&site, &desk).await;
    let standing = letter_at(&after, 2).standing.clone().unwrap();
    assert_eq!((standing.status, standing.attempts), (LetterStatus::Replayed, 2));
    assert_eq!(
        (standing.who.as_str(), standing.why.as_str(), standing.last_error.as_str()),
        ("tester", "repaired", "")
    );
    // Again, and in the other order: nothing changes.
    let once = rows(&site).await;
    for letter in after.letters.iter().rev() {
        assert_eq!(desk.replay(letter, &by("again"), false).await.unwrap(), APPLIED);
    }
    assert_eq!(rows(&site).await, once);
    assert_eq!(site.passed().await, 8, "no offset moves");
}

/// A hold that was parked and whose end was applied: the beginning that comes late changes nothing.
#[tokio::test]
async fn what_has_ended_meanwhile_stays_ended() {
    let site = Site::new(1).await;
    let desk = Desk::open(&site.options);
    refuse_orders(&site, "NEW.order_id = 1 AND NEW.state = 'RESERVED'").await;
    site.events(&[event(1, 1, Reserved)]).await;
    catch_up(&site.options, PATIENCE).await.unwrap();
    site.events(&[event(1, 1, Expired)]).await;
    catch_up(&site.options, PATIENCE).await.unwrap();
    repair(&site).await;
    let once = rows(&site).await;
    let shelf = shelf(&site, &desk).await;
    assert_eq!(desk.replay(letter_at(&shelf, 0), &by("late"), false).await.unwrap(), APPLIED);
    assert_eq!(rows(&site).await, once);
    assert_eq!(orders::get(&site.db, OrderId::new(1)).await.unwrap().unwrap().state, Expired);
    site.assert_balanced().await;
}

/// The order's row is written before its payment is refused; only the attempt may remain of both.
#[tokio::test]
async fn what_is_refused_half_way_leaves_only_the_attempt() {
    let site = Site::new(1).await;
    let desk = Desk::open(&site.options);
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON payments FOR EACH ROW \
                   SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no money'";
    sqlx::raw_sql(trigger).execute(&site.sql).await.unwrap();
    site.events(&[event(1, 1, Reserved), event(1, 1, Confirmed)]).await;
    let before = shelf(&site, &desk).await;
    let failed = desk.replay(letter_at(&before, 1), &by("too early"), false).await.unwrap();
    assert!(matches!(&failed, Outcome::Failed(error) if error.contains("no money")), "{failed:?}");
    assert_eq!(orders::get(&site.db, OrderId::new(1)).await.unwrap().unwrap().state, Reserved);
    assert_eq!(site.number("SELECT COUNT(*) FROM inventory_audit").await, 1);
    assert_eq!(site.number("SELECT COUNT(*) FROM dead_letters WHERE attempts = 1 AND status = 'WAITING'").await, 1);
    repair(&site).await;
    assert_eq!(desk.replay(letter_at(&before, 1), &by("repaired"), false).await.unwrap(), APPLIED);
    assert_eq!(orders::get(&site.db, OrderId::new(1)).await.unwrap().unwrap().state, Confirmed);
    site.assert_balanced().await;
}

/// The void rule is judged where the letter came from, not where the partition stands today.
#[tokio::test]
async fn a_letter_is_judged_by_the_fence_before_it() {
    let site = Site::new(1).await;
    let desk = Desk::open(&site.options);
    refuse_orders(&site, "NEW.order_id IN (1, 4)").await;
    // Offsets: 0 told under epoch 1, 1 the fence, 2 behind it and void, 3 poison behind it, 4 told under epoch 2.
    let torn = |id| (0, event(id, 1, Reserved).encode().unwrap()[1..].to_vec());
    site.events(&[event(1, 1, Reserved), fence(2)]).await;
    site.append(vec![(0, event(2, 1, Reserved).encode().unwrap()), torn(3)]).await;
    site.events(&[event(4, 2, Reserved), fence(3), fence(4)]).await;
    let shelf = shelf(&site, &desk).await;
    let fences: Vec<_> = shelf.letters.iter().map(|letter| (letter.parked.offset, letter.parked.fence_epoch)).collect();
    assert_eq!(fences, [(0, Epoch(0)), (3, Epoch(2)), (4, Epoch(2))], "also for poison in the batch of its fence");

    repair(&site).await;
    let told = Outcome::Applied { refilled_since: true };
    assert_eq!(desk.replay(letter_at(&shelf, 0), &by("told"), false).await.unwrap(), told);
    assert_eq!(desk.replay(letter_at(&shelf, 4), &by("told"), false).await.unwrap(), told);
    assert_eq!(site.number("SELECT COUNT(*) FROM orders WHERE order_id IN (1, 4)").await, 2);

    // The torn record becomes readable (as after an upgrade of the reader): nobody was told of it, so it is void.
    let mut mended = letter_at(&shelf, 3).clone();
    mended.parked.payload_text = Some(String::from_utf8(event(3, 1, Reserved).encode().unwrap()).unwrap());
    assert_eq!(desk.replay(&mended, &by("readable now"), false).await.unwrap(), Outcome::Void);
    let void = "SELECT COUNT(*) FROM voided_events WHERE order_id = 3 AND offset_no = 3 AND fence_epoch = 2";
    assert_eq!(site.number(void).await, 1);
    assert_eq!(site.number("SELECT COUNT(*) FROM orders WHERE order_id = 3").await, 0);
    assert_eq!(offsets::list(&site.db, &site.topic()).await.unwrap()[0].fence_epoch, Epoch(4), "no fence moves back");
    site.assert_balanced().await;
}

#[tokio::test]
async fn attempts_are_bounded_and_counted_for_what_cannot_be_read() {
    let site = Site::new(1).await;
    let desk = Desk::open(&site.options);
    site.append(vec![(0, b"\xff\x00poison".to_vec())]).await;
    let shelf = shelf(&site, &desk).await;
    let letter = letter_at(&shelf, 0);
    for _ in 0..REPLAYS_MAX {
        let outcome = desk.replay(letter, &by("hope"), false).await.unwrap();
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    }
    let bounded = Outcome::Refused(Refused::NoAttemptsLeft(REPLAYS_MAX));
    assert_eq!(desk.replay(letter, &by("hope"), false).await.unwrap(), bounded, "also with a stale letter in hand");
    assert!(matches!(desk.replay(letter, &by("hope"), true).await.unwrap(), Outcome::Failed(_)));
    let standing = desk.letters(|_, _| true).await.unwrap().letters[0].standing.clone().unwrap();
    assert_eq!((standing.status, standing.attempts), (LetterStatus::Waiting, REPLAYS_MAX + 1));
    assert!(standing.last_error.contains("not an event"), "{}", standing.last_error);
}

#[tokio::test]
async fn a_dropped_letter_is_not_replayed_and_a_replayed_one_not_dropped() {
    let site = Site::new(1).await;
    let desk = Desk::open(&site.options);
    refuse_orders(&site, "TRUE").await;
    site.events(&[event(1, 1, Reserved), event(2, 1, Reserved)]).await;
    let before = shelf(&site, &desk).await;
    repair(&site).await;
    let (first, second) = (letter_at(&before, 0), letter_at(&before, 1));
    let dropped = desk.drop_letter(&first.origin(), &by("a test order")).await.unwrap();
    assert_eq!((dropped.status, dropped.why.as_str()), (LetterStatus::Dropped, "a test order"));
    assert_eq!(desk.replay(first, &by("all"), false).await.unwrap(), Outcome::Refused(Refused::Dropped));
    assert_eq!(desk.replay(second, &by("all"), false).await.unwrap(), APPLIED);
    let kept = desk.drop_letter(&second.origin(), &by("too late")).await.unwrap();
    assert_eq!((kept.status, kept.why.as_str()), (LetterStatus::Replayed, "all"));
    let waiting = desk.letters(|_, status| status == LetterStatus::Waiting).await.unwrap();
    assert!(waiting.letters.is_empty() && waiting.counts[&LetterStatus::Dropped] == 1, "{waiting:?}");
    assert_eq!(desk.replay(first, &by("after all"), true).await.unwrap(), APPLIED);
    assert_eq!(site.number("SELECT COUNT(*) FROM orders").await, 2);
    site.assert_balanced().await;
}

/// Letters that were parked twice, that the projector has not passed, or that are not of the log.
#[tokio::test]
async fn only_records_that_were_passed_are_replayed() {
    let site = Site::new(1).await;
    let desk = Desk::open(&site.options);
    site.events(&[event(1, 1, Reserved)]).await;
    catch_up(&site.options, PATIENCE).await.unwrap();
    let letter = |topic: &str, offset| {
        let letter = DeadLetter {
            v: DEAD_LETTER_VERSION,
            topic: topic.to_owned(),
            partition: 0,
            offset,
            timestamp_ms: 1,
            parked_at_ms: 2,
            fence_epoch: Epoch(0),
            error: "by hand".to_owned(),
            payload_text: None,
            payload_hex: None,
        };
        letter.with_payload(&event(9, 1, Reserved).encode().unwrap())
    };
    let parked = [letter(&site.topic(), 1), letter("elsewhere", 0), letter(&site.topic(), 1)];
    let kafka = site.options.kafka.clone();
    let park = move || {
        let mut letters = DeadLetters::new(&kafka);
        parked.iter().for_each(|letter| letters.park(letter).unwrap());
    };
    tokio::task::spawn_blocking(park).await.unwrap();
    let shelf = desk.letters(|_, _| true).await.unwrap();
    let seen: Vec<_> = shelf.letters.iter().map(|letter| (letter.parked.topic.clone(), letter.copies)).collect();
    assert_eq!(seen, [("elsewhere".to_owned(), 1), (site.topic(), 2)]);
    let foreign = desk.replay(&shelf.letters[0], &by("x"), true).await.unwrap();
    assert_eq!(foreign, Outcome::Refused(Refused::ForeignTopic));
    let early = desk.replay(&shelf.letters[1], &by("x"), true).await.unwrap();
    assert_eq!(early, Outcome::Refused(Refused::NotPassed(1)));
    assert_eq!(site.number("SELECT COUNT(*) FROM dead_letters").await, 0, "neither was an attempt");
}

/// The projector is saturated with the partitions whose letters are replayed: neither waits for the other for long, and
/// nothing is written twice or never.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_go_on_beside_a_projector_under_load() {
    let site = Site::new(2).await;
    refuse_orders(&site, "NEW.order_id BETWEEN 101 AND 200").await;
    let worker = site.start();
    let batch = |ids: std::ops::RangeInclusive<u64>| ids.map(|id| event(id, 1, Reserved)).collect::<Vec<_>>();
    site.events(&batch(1..=300)).await;
    site.until("SELECT COUNT(*) FROM orders", 200).await;
    let desk = Desk::open(&site.options);
    let started = Instant::now();
    let letters = loop {
        let shelf = desk.letters(|_, _| true).await.unwrap();
        if shelf.letters.len() == 100 && site.passed().await == 300 {
            break shelf.letters;
        }
        assert!(started.elapsed() < PATIENCE, "{} letters", shelf.letters.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    repair(&site).await;

    // Forty thousand events are on their way while two operators replay the same letters.
    let load = async {
        for from in (1_001..=40_001).step_by(4_000) {
            site.events(&batch(from..=from + 3_999)).await;
        }
    };
    let operator = |name: &'static str, order: Vec<Letter>| {
        let desk = desk.clone();
        async move {
            for letter in &order {
                let by = Author::new(name, "load").unwrap();
                assert_eq!(desk.replay(letter, &by, false).await.unwrap(), APPLIED);
            }
        }
    };
    let backwards: Vec<Letter> = letters.iter().rev().cloned().collect();
    tokio::join!(load, operator("first", letters.clone()), operator("second", backwards));
    wait_for_offsets(&site.db, &site.topic(), &[(0, 20_150), (1, 20_150)], PATIENCE).await.unwrap();
    assert_eq!(site.number("SELECT COUNT(*) FROM orders").await, 40_300);
    assert_eq!(site.number("SELECT COUNT(*) FROM dead_letters WHERE status = 'REPLAYED' AND attempts = 2").await, 100);
    let snapshot = worker.handle.snapshot();
    assert_eq!((snapshot.dead_letters, snapshot.missing_events), (100, 0));
    site.assert_balanced().await;
    worker.stop().await;
}

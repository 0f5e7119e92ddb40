mod alone;

use flash_loadgen::{Code, Conflict, Doubt, Report, SkuOnSale, Told};
use flash_witness::gate::{Hold, Stock};
use flash_witness::log::{LogOrder, Payment, State, Terms as OrderTerms};
use flash_witness::view::{LedgerRow, ViewOrder, ViewPayment, ViewSku};

use super::*;
use crate::verdict::{Outcome, judge_alone, judge_unreachable};

const KEY: u64 = 5_000_000_000_000_000;

fn told(number: u64) -> Told {
    Told {
        order_id: 100 + number,
        reservation_id: 200 + number,
        user_id: KEY + number,
        key: KEY + number,
        sku_id: 1,
        quantity: 1,
        answered_us: number * 1_000,
        expires_at_ms: 900_000,
    }
}

fn terms(told: &Told) -> OrderTerms {
    OrderTerms {
        reservation_id: told.reservation_id,
        user_id: told.user_id,
        sku_id: told.sku_id,
        quantity: u32::from(told.quantity),
        unit_price_minor: 100,
        key: key_text(told.key),
        reserved_at_ms: 1_000 + told.order_id,
        expires_at_ms: 900_000,
    }
}

/// A run and what the stores say about it.
struct World {
    run: Finished,
    stores: Testimony,
}

impl World {
    /// `orders` purchases of one unit each were told, and every store has them.
    fn honest(orders: u64, capacity: u32) -> Self {
        let report = Report {
            skus: vec!["1".parse().unwrap()],
            first_user_id: KEY,
            last_user_id: KEY + 1_000,
            ..Report::default()
        };
        let run = Finished {
            report,
            told: (0..orders).map(told).collect(),
            doubts: vec![],
            conflicts: vec![],
            endings: vec![],
        };
        let mut view = View::default();
        view.skus.insert(1, ViewSku::unchanged(capacity, 10));
        let mut gate = Gate::default();
        gate.stocks.insert(
            1,
            Stock { epoch: "1".into(), capacity: capacity.into(), available: capacity.into(), ..Stock::default() },
        );
        gate.read_at_ms.insert(1, 500_000);
        let stores = Testimony {
            log: Log::default(),
            applied: None,
            view,
            gate,
            moving: BTreeSet::new(),
            due: BTreeMap::new(),
            is_settled: true,
        };
        let mut world = World { run, stores };
        for told in world.run.told.clone() {
            world.store(&terms(&told), told.order_id, State::Reserved);
        }
        world
    }

    /// Puts an order into log, MySQL and Redis.
    fn store(&mut self, terms: &OrderTerms, order_id: u64, state: State) {
        let Testimony { log, view, gate, .. } = &mut self.stores;
        let units = i64::from(terms.quantity);
        let ended_ms = (!state.occupies()).then_some(terms.reserved_at_ms + 5);
        log.orders.insert(order_id, LogOrder { terms: terms.clone(), state, ended_ms, paid: None });
        view.orders.insert(order_id, ViewOrder { terms: terms.clone(), state });
        let mut row = |reason: &str, delta| {
            view.ledger.push(LedgerRow { order_id, sku_id: terms.sku_id, reason: reason.into(), delta });
        };
        row("RESERVED", -units);
        if state == State::Expired {
            row("EXPIRED", units);
            return;
        }
        let stock = gate.stocks.get_mut(&terms.sku_id).unwrap();
        stock.held += units;
        stock.available -= units;
        let hold = Hold { units: terms.quantity, user_id: terms.user_id, key: terms.key.clone() };
        stock.holds.insert(order_id, hold);
        *stock.buyers.entry(terms.user_id).or_default() += terms.quantity;
    }

    fn stock(&mut self) -> &mut Stock {
        self.stores.gate.stocks.get_mut(&1).unwrap()
    }

    /// Puts an order into the log, and nowhere else.
    fn log_only(&mut self, terms: &OrderTerms, order_id: u64) {
        let order = LogOrder { terms: terms.clone(), state: State::Reserved, ended_ms: None, paid: None };
        self.stores.log.orders.insert(order_id, order);
    }

    /// MySQL has not come to order 100 in the log.
    fn is_behind(&mut self) {
        let Testimony { log, applied, view, due, .. } = &mut self.stores;
        *applied = Some(log.clone());
        applied.as_mut().unwrap().orders.remove(&100);
        view.orders.remove(&100);
        view.ledger.retain(|row| row.order_id != 100);
        log.ends.insert(0, 2);
        view.applied.insert(0, 1);
        due.insert(0, 2);
    }

    fn judge(&self) -> Verdict {
        judge(&self.run, &self.stores, 0)
    }

    #[track_caller]
    fn finds(&self, kind: Kind, count: u64) {
        let verdict = self.judge();
        assert_eq!((verdict.count(kind), verdict.outcome), (count, Outcome::Broken), "{kind:?}: {verdict:#?}");
        assert!(verdict.findings.iter().any(|finding| finding.kind == kind), "{verdict:#?}");
    }
}

#[test]
fn a_clean_run_is_clean() {
    let verdict = World::honest(3, 3).judge();
    assert_eq!((verdict.outcome, &verdict.findings, &verdict.remarks), (Outcome::Clean, &vec![], &vec![]));
    assert_eq!((verdict.capacity, verdict.told), (Some(3), 3));
    assert_eq!((verdict.in_log, verdict.in_mysql, verdict.in_redis), (Some(3), Some(3), Some(3)));
    assert_eq!((verdict.judged.len(), verdict.counts.len()), (Kind::ALL.len(), Kind::ALL.len()));
}

#[test]
fn an_oversell_is_found_whether_or_not_the_stores_have_it() {
    World::honest(3, 2).finds(Kind::Oversold, 1);
    let mut told_and_forgotten = World::honest(2, 2);
    told_and_forgotten.run.told.push(told(9));
    told_and_forgotten.finds(Kind::Oversold, 1);
    told_and_forgotten.finds(Kind::Lost, 1);
}

#[test]
fn a_win_that_a_store_does_not_have_is_lost() {
    let mut no_log = World::honest(2, 5);
    no_log.stores.log.orders.remove(&100);
    no_log.finds(Kind::Lost, 1);
    let mut no_row = World::honest(2, 5);
    no_row.stores.view.orders.remove(&100);
    no_row.finds(Kind::Lost, 1);
    let mut another = World::honest(2, 5);
    another.run.told[0].quantity = 2;
    another.finds(Kind::Lost, 1);
}

#[test]
fn a_missing_row_is_a_breach_only_after_the_wait() {
    let mut world = World::honest(2, 5);
    world.is_behind();
    world.stores.is_settled = false;
    let verdict = world.judge();
    assert_eq!((verdict.outcome, verdict.count(Kind::Lost)), (Outcome::Open, 0), "{verdict:#?}");
    assert!(!verdict.judged.contains(&Kind::Stuck) && verdict.remarks.len() == 1, "{verdict:#?}");
    assert_eq!(verdict.counts[&Kind::Stuck], None, "what was not judged is not counted as none");
    // An event that the log does not have will not come.
    world.stores.log.orders.remove(&100);
    world.finds(Kind::Lost, 1);
}

#[test]
fn a_unit_that_redis_keeps_to_itself_is_stuck() {
    let mut kept = World::honest(2, 5);
    kept.stock().available -= 1;
    kept.finds(Kind::Stuck, 1);
    // Redis counts other units as sold than MySQL: if others are buying meanwhile, nothing follows from that.
    let mut lent = World::honest(2, 5);
    lent.stock().sold += 1;
    lent.stock().available -= 1;
    lent.finds(Kind::Stuck, 1);
    lent.stores.moving.insert(1);
    assert_eq!((lent.judge().outcome, lent.judge().counts[&Kind::Stuck]), (Outcome::Open, None));
    // But Redis was read in one step, and must add up by itself whoever buys.
    kept.stores.moving.insert(1);
    kept.finds(Kind::Stuck, 1);
    let mut behind = World::honest(2, 5);
    behind.is_behind();
    behind.finds(Kind::Stuck, 1);
    assert_eq!(behind.judge().count(Kind::Lost), 0, "the log has it: it is late, not lost");
}

#[test]
fn a_broken_cap_is_named() {
    let mut world = World::honest(3, 5);
    world.stores.view.skus.get_mut(&1).unwrap().per_user_once = 0;
    world.finds(Kind::CapBroken, 3);
}

#[test]
fn duplicates_of_every_kind_are_found() {
    let mut second = World::honest(1, 10);
    second.store(&terms(&told(0)), 999, State::Reserved);
    second.finds(Kind::Duplicate, 1);
    let mut one_order = World::honest(2, 10);
    one_order.run.told[1].order_id = one_order.run.told[0].order_id;
    one_order.finds(Kind::Duplicate, 1);
    let mut two_answers = World::honest(1, 10);
    let conflict = Conflict { first: two_answers.run.told[0], second: Some((7, 8)), code: Code::Won };
    two_answers.run.conflicts = vec![conflict];
    two_answers.finds(Kind::Duplicate, 1);
}

#[test]
fn a_key_with_two_answers_and_an_order_that_was_refused() {
    let mut world = World::honest(1, 10);
    world.run.conflicts = vec![Conflict { first: world.run.told[0], second: None, code: Code::SoldOut }];
    world.finds(Kind::Contradicted, 1);
    let mut phantom = World::honest(1, 10);
    phantom.store(&terms(&told(5)), 105, State::Reserved);
    phantom.finds(Kind::Phantom, 1);
    // It is none if its buyer does not know, or if it has ended.
    phantom.run.doubts = vec![Doubt { user_id: KEY + 5, key: KEY + 5, sku_id: 1, refused: None }];
    phantom.store(&terms(&told(6)), 106, State::Expired);
    assert_eq!((phantom.judge().outcome, phantom.judge().unannounced), (Outcome::Clean, 2));
    // Nor if a later attempt was refused: the first may have won all the same. That is said.
    phantom.run.doubts[0].refused = Some(Code::SoldOut);
    let verdict = phantom.judge();
    assert_eq!((verdict.outcome, verdict.unannounced, verdict.remarks.len()), (Outcome::Clean, 2, 1), "{verdict:#?}");
}

#[test]
fn an_order_that_a_late_payment_made_is_no_phantom() {
    let mut world = World::honest(1, 10);
    let late = OrderTerms { key: "late-100".into(), user_id: KEY, ..terms(&told(5)) };
    world.store(&late, 105, State::Reserved);
    world.finds(Kind::Phantom, 1);
    // Its buyer was told that it stands for what was paid; whether it is paid, the witness says.
    let paid = Ending { order_id: 100, key: KEY, pays: true, asked_us: 1, told: Some(Ended::Paid(105)), told_us: 2 };
    world.run.endings = vec![paid];
    assert_eq!(world.judge().count(Kind::Phantom), 0, "{:#?}", world.judge());
    // Or its buyer was told nothing.
    world.run.endings = vec![Ending { told: None, ..paid }];
    assert_eq!((world.judge().outcome, world.judge().unannounced), (Outcome::Clean, 1), "{:#?}", world.judge());
    world.run.endings = vec![Ending { told: Some(Ended::Refund), ..paid }];
    assert_eq!(world.judge().count(Kind::Phantom), 1, "the money comes back, and the order is there as well");
}

#[test]
fn what_was_told_about_paying_must_be_so() {
    let ending = |told| Ending { order_id: 100, key: KEY, pays: true, asked_us: 1, told: Some(told), told_us: 2 };
    let mut world = World::honest(1, 10);
    world.run.endings = vec![ending(Ended::Refused)];
    assert_eq!(world.judge().outcome, Outcome::Clean);
    world.run.endings = vec![ending(Ended::Paid(100))];
    world.finds(Kind::Lost, 1);
    world.run.endings = vec![Ending { pays: false, ..ending(Ended::Cancelled) }];
    world.finds(Kind::Lost, 1);
    world.run.endings = vec![ending(Ended::Refund)];
    world.finds(Kind::Diverged, 1);
}

#[test]
fn money_that_nobody_was_told_of_is_not_forgotten() {
    let mut world = World::honest(1, 10);
    let late = Payment { payment_id: "pay-9".into(), amount_minor: 100, paid_order: 100 };
    world.stores.log.refunds.insert("pay-9".into(), late);
    world.finds(Kind::Diverged, 1);
    let mut world = World::honest(1, 10);
    let row = ViewPayment {
        user_id: KEY,
        paid_order: 100,
        order_id: None,
        amount_minor: 100,
        status: "REFUND_PENDING".into(),
    };
    world.stores.view.payments.insert("pay-9".into(), row.clone());
    world.finds(Kind::Diverged, 1);
    // A stranger's is not ours to judge.
    world.stores.view.payments.insert("pay-9".into(), ViewPayment { paid_order: 77, ..row });
    assert_eq!(world.judge().outcome, Outcome::Clean, "{:#?}", world.judge());
}

#[test]
fn a_record_that_nobody_can_read_leaves_the_verdict_open() {
    let mut world = World::honest(1, 10);
    world.stores.log.nonsense.push((None, "partition 0 offset 7: no JSON".into()));
    let verdict = world.judge();
    assert_eq!((verdict.outcome, verdict.remarks.len()), (Outcome::Open, 1), "{verdict:#?}");
}

#[test]
fn orders_of_others_are_not_judged() {
    let mut world = World::honest(1, 10);
    let stranger = Told { user_id: 7, ..told(3) };
    world.store(&terms(&stranger), 103, State::Reserved);
    assert_eq!(world.judge().outcome, Outcome::Clean, "{:#?}", world.judge());
    world.stores.view.ledger.retain(|row| row.order_id != 103);
    let without = world.judge();
    assert_eq!(without.outcome, Outcome::Clean, "what others left behind: {without:#?}");
    assert!(without.remarks[0].contains("ledger"), "{without:#?}");
    world.stores.view.ledger.push(LedgerRow { order_id: 77, sku_id: 1, reason: "EXPIRED".into(), delta: 1 });
    assert_eq!(world.judge().outcome, Outcome::Clean, "an order that nobody knows is not ours: {:#?}", world.judge());
    world.stores.view.ledger.clear();
    world.finds(Kind::Diverged, 1);
}

#[test]
fn others_who_go_on_buying_break_nothing_and_hide_nothing() {
    // Two of three units are ours; a stranger takes the third while everything is read.
    let mut world = World::honest(2, 3);
    let stranger = Told { user_id: 7, ..told(3) };
    let mut late = terms(&stranger);
    late.reserved_at_ms = 500_010;
    world.stores.applied = Some(world.stores.log.clone());
    world.log_only(&late, 103);
    world.stores.moving.insert(1);
    let verdict = world.judge();
    assert_eq!((verdict.outcome, &verdict.findings), (Outcome::Open, &vec![]), "{verdict:#?}");
    // Another takes a unit that was ours until the moment before; that it had come back was not read any more.
    let mut later = terms(&Told { user_id: 8, ..told(4) });
    later.reserved_at_ms = 500_020;
    world.log_only(&later, 104);
    assert_eq!(world.judge().outcome, Outcome::Open, "{:#?}", world.judge());
    // Decided before Redis was read it is one too many, whoever bought and whatever moves.
    later.reserved_at_ms = 499_999;
    late.reserved_at_ms = 499_998;
    world.log_only(&late, 103);
    world.log_only(&later, 104);
    world.finds(Kind::Oversold, 1);
}

#[test]
fn a_hold_that_no_event_tells_of_is_allowed_to_a_buyer_who_does_not_know() {
    let mut world = World::honest(1, 10);
    let doubt = Doubt { user_id: KEY + 5, key: KEY + 5, sku_id: 1, refused: None };
    let hold = Hold { units: 1, user_id: KEY + 5, key: key_text(KEY + 5) };
    let stock = world.stock();
    stock.held += 1;
    stock.available -= 1;
    stock.buyers.insert(KEY + 5, 1);
    stock.holds.insert(105, hold);
    world.finds(Kind::Stuck, 1);
    world.run.doubts = vec![doubt];
    let verdict = world.judge();
    assert_eq!((verdict.outcome, verdict.remarks.len()), (Outcome::Clean, 1), "{verdict:#?}");
    // A stranger's is not ours to judge.
    world.run.doubts.clear();
    let hold = Hold { units: 1, user_id: 7, key: "x".into() };
    let stock = world.stock();
    stock.buyers.remove(&(KEY + 5));
    stock.buyers.insert(7, 1);
    stock.holds.insert(105, hold);
    assert_eq!(world.judge().outcome, Outcome::Clean, "{:#?}", world.judge());
}

#[test]
fn findings_are_sentences() {
    let mut world = World::honest(3, 2);
    world.stores.view.orders.remove(&100);
    world.stores.log.orders.remove(&101);
    world.stock().available = 7;
    world.stock().sold = 9;
    let verdict = world.judge();
    assert!(verdict.findings.len() > 5, "{verdict:#?}");
    for finding in verdict.findings {
        assert!(!finding.detail.contains(['{', '}', '[']) && finding.detail.len() < 400, "{}", finding.detail);
    }
}

#[test]
fn nothing_was_answered_and_nothing_is_acquitted() {
    let world = World::honest(0, 3);
    let verdict = world.judge();
    assert_eq!((verdict.outcome, verdict.remarks.len()), (Outcome::Open, 1), "{verdict:#?}");
    assert_eq!(judge_alone(&world.run, &[], String::new()).outcome, Outcome::Open);
    let mut later = world.run.clone();
    later.report.outcomes = [("RATE_LIMITED".to_owned(), 10), ("OVERLOADED".to_owned(), 10)].into();
    assert_eq!(judge_alone(&later, &[], String::new()).outcome, Outcome::Open, "later is no answer");
    let unreachable = judge_unreachable(&world.run, &[], "no answer");
    assert_eq!((unreachable.outcome, unreachable.counts[&Kind::Lost]), (Outcome::NotJudged, None));
}

#[test]
fn an_unknown_sku_has_nothing_to_sell() {
    let mut world = World::honest(1, 10);
    world.stores.view.skus.clear();
    world.finds(Kind::Oversold, 1);
}

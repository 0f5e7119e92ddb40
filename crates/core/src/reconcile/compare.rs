//! The arithmetic of one SKU at one instant.

use super::{Case, Count, Finding, Gap, GateBooks, Hop, Kind, Known};
use crate::ids::SkuId;
use crate::order::OrderState;

/// Compares the books of one SKU. `capacity_max` is the largest capacity that any store had since before the gate was read.
#[must_use]
pub fn compare(sku_id: SkuId, capacity_max: i64, gate: &GateBooks, count: &Count, gaps: &[Gap]) -> Vec<Finding> {
    let mut findings = missing(sku_id, gaps);
    let (held, sold, orders_held) = expected(count, gaps);
    let occupied = held + sold;
    if occupied > capacity_max {
        let detail =
            format!("{held} held + {sold} sold = {occupied} units of {capacity_max} are given away in the log");
        findings.push(Finding::new(Kind::Oversold, sku_id, Hop::Log, occupied - capacity_max, detail));
    }
    let taken = gate.held + gate.sold + gate.closing;
    if taken > capacity_max {
        let detail = format!("Redis has given away {taken} units of {capacity_max}");
        findings.push(Finding::new(Kind::Oversold, sku_id, Hop::Gate, taken - capacity_max, detail));
    }
    let mut wrong = own_books(gate);
    // A change that nobody can name may have moved anything.
    if gaps.iter().all(|gap| gap.known.is_some()) {
        wrong.extend(against_log(gate, held, sold, orders_held));
    }
    if !wrong.is_empty() {
        let surplus = gate.available + gate.closing - (gate.capacity - occupied);
        findings.push(Finding::new(Kind::CounterDrift, sku_id, Hop::Gate, surplus, wrong.join("; ")));
    }
    findings
}

/// What the counters must be: held and sold units, and orders on hold.
fn expected(count: &Count, gaps: &[Gap]) -> (i64, i64, i64) {
    let (mut held, mut sold, mut orders) = (count.occupied - count.sold, count.sold, count.orders_held);
    for known in gaps.iter().filter_map(|gap| gap.known.as_ref()) {
        let units = i64::from(known.quantity);
        match known.state {
            OrderState::Reserved => (held, orders) = (held + units, orders + 1),
            OrderState::Confirmed => (held, sold, orders) = (held - units, sold + units, orders - 1),
            OrderState::Cancelled | OrderState::Expired => (held, orders) = (held - units, orders - 1),
        }
    }
    (held, sold, orders)
}

/// Redis against itself.
fn own_books(gate: &GateBooks) -> Vec<String> {
    let GateBooks { capacity, available, held, sold, closing, .. } = *gate;
    let mut wrong = Vec::new();
    let sum = available + held + sold + closing;
    if sum != capacity {
        wrong.push(format!(
            "available {available} + held {held} + sold {sold} + closing {closing} = {sum}, not the capacity of {capacity}"
        ));
    }
    if available < 0 || held < 0 || sold < 0 || closing < 0 {
        wrong.push("a counter is negative".to_owned());
    }
    if gate.holds != gate.holds_by_expiry {
        wrong.push(format!("{} holds have details, {} have an end", gate.holds, gate.holds_by_expiry));
    }
    if gate.settling != gate.settling_by_age {
        wrong
            .push(format!("{} settlements are under way, {} of them with an age", gate.settling, gate.settling_by_age));
    }
    if gate.hold_units.is_some_and(|units| units != held) {
        wrong.push(format!("the holds add up to {} units, the counter says {held}", gate.hold_units.unwrap_or(0)));
    }
    if gate.closing_units.is_some_and(|units| units != closing) {
        wrong.push(format!(
            "{} units are on their way back, the counter says {closing}",
            gate.closing_units.unwrap_or(0)
        ));
    }
    if gate.seq < gate.opened_seq {
        wrong.push(format!("sequence number {} is below {}, where the epoch began", gate.seq, gate.opened_seq));
    }
    wrong
}

/// Redis against the log.
fn against_log(gate: &GateBooks, held: i64, sold: i64, orders_held: i64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut differs = |what: &str, redis: i64, log: i64| {
        if redis != log {
            wrong.push(format!("{what}: Redis says {redis}, the log says {log}"));
        }
    };
    differs("held", gate.held, held);
    differs("sold", gate.sold, sold);
    differs("free", gate.available + gate.closing, gate.capacity - held - sold);
    differs("orders on hold", i64::try_from(gate.holds).unwrap_or(i64::MAX), orders_held);
    wrong
}

/// The gaps, one finding per cause.
fn missing(sku_id: SkuId, gaps: &[Gap]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let known = |wanted: fn(&Case) -> bool| -> Vec<&Known> {
        gaps.iter().filter_map(|gap| gap.known.as_ref()).filter(|known| wanted(&known.case)).collect()
    };
    let mut add = |kind, hop, found: Vec<&Known>, what: &str, remedy: Option<&str>| {
        if found.is_empty() {
            return;
        }
        let units = found.iter().map(|known| i64::from(known.quantity)).sum();
        let places: Vec<&str> = found.iter().filter_map(|known| known.case.origin()).take(5).collect();
        let at = if places.is_empty() { String::new() } else { format!(" (at {})", places.join(", ")) };
        let detail = format!("{} {what}{at}", found.len());
        let finding = Finding::new(kind, sku_id, hop, units, detail);
        let finding = remedy.into_iter().fold(finding, Finding::with_remedy);
        findings.push(finding.with_orders(found.iter().map(|known| known.order_id)));
    };
    let held = known(|case| matches!(case, Case::Held));
    add(Kind::OrphanHold, Hop::Gate, held, "holds in Redis whose event never reached the log", None);
    let settling = known(|case| matches!(case, Case::Settling));
    add(Kind::SettlementStuck, Hop::Gate, settling, "stock changes of settlements that the log does not have", None);
    let parked = known(|case| matches!(case, Case::Parked { dropped: false, .. }));
    let replay = "repair what they failed with, then: flashctl dlq replay --all";
    add(Kind::MissingOrder, Hop::Projector, parked, "events wait as dead letters", Some(replay));
    let dropped = known(|case| matches!(case, Case::Parked { dropped: true, .. }));
    let forced = "if it was wrong to give them up: flashctl dlq replay ORIGIN --force";
    add(Kind::MissingOrder, Hop::Projector, dropped, "events were given up as dead letters", Some(forced));
    let logged = known(|case| matches!(case, Case::Logged { .. }));
    let restore = "rows were deleted in MySQL; restore them, the log still has the events. Do not rebuild before that";
    add(Kind::MissingOrder, Hop::View, logged, "events are in the log and have no ledger row", Some(restore));
    let nameless: Vec<u64> = gaps.iter().filter(|gap| gap.known.is_none()).map(|gap| gap.seq).collect();
    if let (Some(first), Some(last)) = (nameless.first(), nameless.last()) {
        let detail = format!(
            "{} stock changes between sequence numbers {first} and {last} are known to nobody: the counter was changed by \
             hand, or the log has lost records",
            nameless.len()
        );
        let finding = Finding::new(Kind::MissingOrder, sku_id, Hop::Gate, 0, detail);
        findings.push(finding.with_remedy("flashctl rebuild, once it is known that the log is whole"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::OrderId;

    const SKU: SkuId = SkuId::new(1);

    /// 100 units, opened at 10: three holds of two, one sold of one, one on its way back of one.
    fn books() -> (GateBooks, Count) {
        let gate = GateBooks {
            now_ms: 1,
            capacity: 100,
            available: 92,
            held: 6,
            sold: 1,
            closing: 1,
            seq: 17,
            opened_seq: 10,
            holds: 3,
            holds_by_expiry: 3,
            settling: 1,
            settling_by_age: 1,
            hold_units: Some(6),
            closing_units: Some(1),
            first_expiry_ms: 9,
            first_settling_ms: 1,
        };
        let seq_sum = (11..=17).sum();
        (gate, Count { steps: 7, seq_sum, occupied: 7, sold: 1, orders_held: 3 })
    }

    fn kinds(gate: &GateBooks, count: &Count, gaps: &[Gap]) -> Vec<(Kind, Hop, i64)> {
        compare(SKU, 100, gate, count, gaps).into_iter().map(|one| (one.kind, one.hop, one.amount)).collect()
    }

    fn gap(seq: u64, state: OrderState, quantity: u32, case: Case) -> Gap {
        Gap { seq, known: Some(Known { order_id: OrderId::new(seq), state, quantity, case }) }
    }

    #[test]
    fn books_that_agree_have_no_finding() {
        let (gate, count) = books();
        assert!(count.is_complete(&gate));
        assert_eq!(kinds(&gate, &count, &[]), []);
    }

    #[test]
    fn a_missing_row_and_one_that_is_there_twice_are_both_incomplete() {
        let (gate, count) = books();
        assert!(!Count { steps: 6, seq_sum: count.seq_sum - 17, ..count }.is_complete(&gate));
        assert!(!Count { seq_sum: count.seq_sum - 17 + 12, ..count }.is_complete(&gate), "12 twice, 17 never");
        assert!(!count.is_complete(&GateBooks { opened_seq: 11, ..gate }));
    }

    #[test]
    fn a_hold_without_an_event_is_an_orphan_and_no_drift() {
        let (gate, count) = books();
        let count = Count { steps: 6, occupied: 5, orders_held: 2, ..count };
        let orphan = gap(12, OrderState::Reserved, 2, Case::Held);
        assert_eq!(kinds(&gate, &count, std::slice::from_ref(&orphan)), [(Kind::OrphanHold, Hop::Gate, 2)]);
        let found = compare(SKU, 100, &gate, &count, &[orphan]);
        assert_eq!((found[0].orders.as_slice(), found[0].fixable), ([OrderId::new(12)].as_slice(), true));
    }

    #[test]
    fn every_state_moves_what_it_moves() {
        let (gate, count) = books();
        // The ledger still has the order on hold that Redis gives back, and the one that Redis has sold.
        let before = Count { occupied: 8, sold: 0, orders_held: 5, ..count };
        let gaps = [gap(16, OrderState::Expired, 1, Case::Settling), gap(17, OrderState::Confirmed, 1, Case::Settling)];
        assert_eq!(kinds(&gate, &before, &gaps), [(Kind::SettlementStuck, Hop::Gate, 2)]);
    }

    #[test]
    fn letters_and_lost_rows_are_told_apart() {
        let (gate, count) = books();
        let origin = || "0/7".to_owned();
        for (case, hop, fixable) in [
            (Case::Parked { origin: origin(), dropped: false }, Hop::Projector, false),
            (Case::Parked { origin: origin(), dropped: true }, Hop::Projector, false),
            (Case::Logged { origin: origin() }, Hop::View, false),
        ] {
            let count = Count { occupied: 5, orders_held: 2, ..count };
            let found = compare(SKU, 100, &gate, &count, &[gap(12, OrderState::Reserved, 2, case)]);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!((found[0].kind, found[0].hop, found[0].fixable), (Kind::MissingOrder, hop, fixable));
            assert!(found[0].detail.contains("0/7"), "{found:?}");
        }
    }

    #[test]
    fn units_raised_by_hand_are_found_in_any_counter() {
        let (gate, count) = books();
        let raised = GateBooks { available: 97, ..gate };
        assert_eq!(kinds(&raised, &count, &[]), [(Kind::CounterDrift, Hop::Gate, 5)]);
        // So that the sum is right: only the log knows better.
        let moved = GateBooks { available: 93, sold: 0, ..gate };
        assert_eq!(kinds(&moved, &count, &[]), [(Kind::CounterDrift, Hop::Gate, 1)]);
        let moved = GateBooks { available: 98, held: 0, hold_units: None, ..gate };
        assert_eq!(kinds(&moved, &count, &[]), [(Kind::CounterDrift, Hop::Gate, 6)]);
        for lost in [
            GateBooks { holds_by_expiry: 0, ..gate },
            GateBooks { settling_by_age: 0, ..gate },
            GateBooks { closing_units: Some(0), ..gate },
            GateBooks { holds: 2, holds_by_expiry: 2, ..gate },
        ] {
            assert_eq!(kinds(&lost, &count, &[]), [(Kind::CounterDrift, Hop::Gate, 0)], "{lost:?}");
        }
    }

    #[test]
    fn more_than_exists_is_an_oversell_wherever_it_is() {
        let (gate, count) = books();
        let (log, redis) = (Count { occupied: 101, ..count }, GateBooks { sold: 100, ..gate });
        assert!(kinds(&gate, &log, &[]).contains(&(Kind::Oversold, Hop::Log, 1)));
        assert!(kinds(&redis, &count, &[]).contains(&(Kind::Oversold, Hop::Gate, 7)));
    }

    #[test]
    fn what_nobody_can_name_is_not_called_drift() {
        let (gate, count) = books();
        let gaps = [Gap { seq: 12, known: None }, Gap { seq: 13, known: None }];
        let found = compare(SKU, 100, &gate, &Count { occupied: 3, ..count }, &gaps);
        assert_eq!(found.iter().map(|one| one.kind).collect::<Vec<_>>(), [Kind::MissingOrder]);
        assert!(found[0].detail.starts_with("2 stock changes between sequence numbers 12 and 13"), "{found:?}");
    }
}

//! Where MySQL is not what the log says, and logs that contradict themselves.

use super::*;

#[test]
fn a_payment_with_two_fates() {
    let mut world = honest();
    let payment = json!({ "paymentId": "pay-1", "amountMinor": PRICE, "paidOrder": "1" });
    let refund = json!({ "v": 1, "type": "REFUND_PENDING", "epoch": 2, "atMs": 9, "order": wire(1),
        "payment": payment, "reason": "EXPIRED" });
    world.pen.write(1, &refund);
    world.project();
    world.is_caught(Kind::Money);
}

#[test]
fn a_refund_that_mysql_does_not_have_belongs_to_the_order_that_was_paid_for() {
    let mut world = honest();
    let payment = json!({ "paymentId": "late-1", "amountMinor": PRICE, "paidOrder": "1" });
    let refund = json!({ "v": 1, "type": "REFUND_PENDING", "epoch": 2, "atMs": 9, "order": wire(1),
        "payment": payment, "reason": "EXPIRED" });
    world.pen.write(1, &refund);
    world.project();
    let row = world.view.payments.remove("late-1");
    let owners = |world: &World| -> Vec<Option<u64>> {
        let found = world.judge();
        found.iter().filter(|one| one.kind == Kind::Money).map(|one| one.order_id).collect()
    };
    assert_eq!(owners(&world), [Some(1)]);
    // The other way round as well.
    let mut world = honest();
    world.view.payments.insert("late-1".into(), row.unwrap());
    assert_eq!(owners(&world), [Some(1)]);
}

#[test]
fn a_payment_that_mysql_has_of_another_amount_or_buyer() {
    let tamper: [fn(&mut ViewPayment); 3] =
        [|row| row.amount_minor = 1, |row| row.user_id = 1_000, |row| row.paid_order = 77];
    for tamper in tamper {
        let mut world = honest();
        tamper(world.view.payments.values_mut().next().unwrap());
        world.is_caught(Kind::Money);
    }
}

#[test]
fn two_orders_for_one_key() {
    let mut world = honest();
    world.log.orders.get_mut(&3).unwrap().terms.user_id = 1;
    world.log.orders.get_mut(&3).unwrap().terms.key = "k1".into();
    world.is_caught(Kind::Duplicate);
}

#[test]
fn a_projection_that_stands_still() {
    let mut world = honest();
    world.view.applied.insert(0, 1);
    world.is_caught(Kind::Stuck);
}

#[test]
fn an_order_that_only_mysql_has() {
    let mut world = honest();
    let order = world.view.orders[&1].clone();
    world.view.orders.insert(77, order);
    world.is_caught(Kind::Divergence);
}

#[test]
fn a_ledger_with_a_row_too_few_or_too_many() {
    let mut world = honest();
    world.view.ledger.pop();
    world.is_caught(Kind::Ledger);
    let mut world = honest();
    world.view.ledger.push(LedgerRow { order_id: 88, sku_id: SKU, reason: "EXPIRED".into(), delta: 1 });
    world.is_caught(Kind::Ledger);
}

#[test]
fn an_order_that_ends_twice_and_a_record_that_is_none() {
    let mut world = honest();
    world.pen.event("EXPIRED", 2, 14, 3_000);
    world.project();
    world.is_caught(Kind::Nonsense);
    let mut world = honest();
    world.pen.write(0, &json!({ "v": 1, "type": "RESERVED" }));
    world.project();
    world.is_caught(Kind::Nonsense);
}

#[test]
fn mysql_is_compared_with_the_log_as_far_as_it_has_applied_it() {
    let mut world = honest();
    let view = world.view.clone();
    // The log goes on, MySQL does not yet: unless it has had its time, that is no contradiction.
    world.pen.event("EXPIRED", 2, 14, 3_000).event("RESERVED", 2, 15, 1_500);
    world.log = world.pen.log();
    world.view = view;
    world.log.nonsense.clear();
    let until = Terms { known_until_ms: [(SKU, 1_450)].into(), ..Terms::default() };
    assert_eq!(world.judge_by(&until), []);
    // Decided later than the log is known, or not: that decides whether it is one unit too many.
    let known = world.judge_by(&Terms::default());
    assert!(known.iter().any(|violation| violation.kind == Kind::Oversold), "{known:#?}");
    let due = world.judge_by(&Terms { due: world.log.ends.clone(), ..until });
    assert!(due.iter().all(|violation| violation.kind == Kind::Stuck) && !due.is_empty(), "{due:#?}");
    // What MySQL has applied and does not have is missing, however far the log is.
    world.view.orders.remove(&3);
    world.is_caught(Kind::Lost);
}

#[test]
fn a_log_that_is_shorter_than_what_was_applied() {
    let mut world = honest();
    *world.view.applied.get_mut(&1).unwrap() += 1;
    world.is_caught(Kind::Divergence);
}

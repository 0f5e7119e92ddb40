//! Lies about units: sold twice, beyond the cap, stuck, or counted differently by Redis.

use super::*;

#[test]
fn a_third_unit_of_two_in_the_log() {
    let mut world = honest();
    world.pen.event("RESERVED", 2, 15, 1_500);
    world.project();
    world.is_caught(Kind::Oversold);
}

#[test]
fn a_unit_sold_again_before_it_had_come_back() {
    let mut world = honest();
    // In the end it is all right: 2 is cancelled at 280. But 16 (here reserved at 260) had it before.
    let mut early = wire(16);
    early["reservedAtMs"] = json!(260);
    let event = |kind: &str, at_ms: u64| json!({ "v": 1, "type": kind, "epoch": 1, "atMs": at_ms, "order": early });
    let mut records = Pen::default();
    records.write(0, &event("RESERVED", 260));
    let mut end = event("EXPIRED", 270);
    end["seq"] = json!(9);
    records.write(0, &end);
    for record in &mut world.pen.0 {
        record.offset += if record.partition == 0 { 2 } else { 0 };
    }
    world.pen.0.splice(0..0, records.0);
    world.project();
    world.is_caught(Kind::Oversold);
}

#[test]
fn buyers_were_told_more_than_there_is_although_the_log_looks_right() {
    let mut world = honest();
    // The log forgot that they overlapped.
    world.told.told[2].at_ms = 210;
    world.told.cancels_asked = vec![(2, 400)];
    world.is_caught(Kind::Oversold);
}

#[test]
fn more_in_mysql_than_exists() {
    let mut world = honest();
    world.view.skus.get_mut(&SKU).unwrap().capacity = 1;
    world.is_caught(Kind::Oversold);
}

#[test]
fn a_capacity_that_was_lowered_after_units_had_come_back() {
    let mut world = honest();
    world.pen = Pen::default();
    world.pen.event("RESERVED", 1, 1, 100).event("RESERVED", 1, 2, 200).event("EXPIRED", 1, 2, 1_200);
    world.told = ToldList { told: [1, 2].map(told).to_vec(), ..ToldList::default() };
    world.sold_out = false;
    world.project();
    world.view.skus.insert(SKU, ViewSku { capacity: 1, ..ViewSku::unchanged(2, 1) });
    let stock = world.stock();
    (stock.capacity, stock.available) = (1, 0);
    assert_eq!(world.judge(), []);
    world.view.skus.insert(SKU, ViewSku::unchanged(1, 1));
    world.is_caught(Kind::Oversold);
}

#[test]
fn more_than_the_cap_for_one_buyer() {
    let mut world = honest();
    for id in [1, 2] {
        world.log.orders.get_mut(&id).unwrap().terms.user_id = 99;
    }
    world.is_caught(Kind::Cap);
}

#[test]
fn a_unit_that_never_comes_back() {
    let mut world = honest();
    world.pen.0.retain(|record| !String::from_utf8_lossy(&record.payload).contains("\"14\""));
    world.told.told.retain(|told| told.order_id != 14);
    world.told.settled.retain(|told| told.order_id != 14);
    world.project();
    world.is_caught(Kind::Stuck);
    world.sold_out = false;
    assert_eq!(world.judge(), [], "nothing is stuck if nobody has tried to buy it");
}

#[test]
fn redis_that_counts_differently() {
    let lies: [fn(&mut Stock); 8] = [
        |stock| stock.available += 1,
        |stock| stock.sold -= 1,
        |stock| stock.held += 1,
        |stock| _ = stock.settling.insert(3, 3),
        |stock| _ = stock.misended.insert(1),
        |stock| _ = stock.holds.insert(3, Hold { units: 0, user_id: 3, key: "k3".into() }),
        |stock| _ = stock.buyers.insert(3, 1),
        |stock| stock.epoch = "closed:3".into(),
    ];
    for lie in lies {
        let mut world = honest();
        lie(world.stock());
        world.is_caught(Kind::Stuck);
    }
}

#[test]
fn a_reserved_order_without_its_hold() {
    let mut world = honest();
    world.pen.0.retain(|record| !String::from_utf8_lossy(&record.payload).contains("pay-14"));
    world.told.settled.pop();
    world.project();
    assert_eq!(world.judge(), []);
    world.stock().holds.clear();
    world.is_caught(Kind::Stuck);
}

#[test]
fn a_stock_that_moves_is_compared_with_itself_alone() {
    let mut world = honest();
    world.stock().sold -= 1;
    let moving = Terms { moving: [SKU].into(), ..Terms::default() };
    assert!(!world.judge_by(&moving).is_empty(), "it does not add up");
    world.stock().available += 1;
    assert_eq!(world.judge_by(&moving), []);
    world.is_caught(Kind::Stuck);
}

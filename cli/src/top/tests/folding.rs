//! What the model makes of samples: rates, restarts, gaps, estimates, stock of several daemons, events.

use flash_core::{ids::SkuId, stats::Stats};

use super::fixtures::*;
use crate::{
    live::{Sample, Seen, Told},
    top::model::{Kind, Model},
};

fn fold(samples: impl IntoIterator<Item = Sample>) -> Model {
    let mut model = Model::default();
    samples.into_iter().for_each(|sample| model.fold(sample));
    model
}

fn failed(node: u16) -> Seen {
    seen(node, Told::Failed("connection refused".into()))
}

/// One daemon that has won so many.
fn won(node: u16, s: u64, won: u64) -> Stats {
    let mut stats = told(node, s, Vec::new());
    stats.api.as_mut().unwrap().outcomes[0].count = won;
    stats
}

fn rate(model: &Model) -> Option<f32> {
    model.flow().map(|flow| flow.at(Kind::Won))
}

#[test]
fn one_answer_is_no_rate_and_two_are() {
    let mut model = fold([sample(0, vec![seen(1, answer(won(1, 0, 1_000)))])]);
    assert_eq!((rate(&model), model.history.len()), (None, 0));
    // Two seconds by its own clock, whatever ours says.
    model.fold(sample(3, vec![seen(1, answer(won(1, 2, 1_500)))]));
    assert_eq!(rate(&model), Some(250.0));
    assert_eq!(model.totals.window(60_000).outcomes.iter().find(|it| it.0 == Kind::Won).unwrap().2, 500);
}

#[test]
fn daemons_are_added_up_and_a_silent_one_is_missing_rather_than_zero() {
    let both = |s: u64| sample(s, vec![seen(1, answer(won(1, s, 100 * s))), seen(2, answer(won(2, s, 10 * s)))]);
    let mut model = fold([both(0), both(1)]);
    assert_eq!(rate(&model), Some(110.0));
    model.fold(sample(2, vec![seen(1, answer(won(1, 2, 200))), failed(2)]));
    assert_eq!(rate(&model), Some(100.0));
    assert!(model.history.points().next_back().unwrap().partial);
    assert_eq!(model.answering().count(), 1);
    assert!(model.daemons[1].last.is_some(), "what it told last is kept");
}

#[test]
fn a_gap_is_a_gap_and_the_rate_after_it_is_a_mean() {
    let one = |s: u64| sample(s, vec![seen(1, answer(won(1, s, 100 * s)))]);
    let mut model = fold((0..=5).map(one));
    (6..=9).for_each(|s| model.fold(sample(s, vec![failed(1)])));
    assert_eq!(rate(&model), None);
    model.fold(sample(10, vec![seen(1, answer(won(1, 10, 1_000)))]));
    assert_eq!(rate(&model), Some(100.0));
    let now_ms = OPENS_MS + 10_000;
    let columns = model.history.columns(now_ms, 10_000, 10, |point| Some(point.flow.at(Kind::Won)));
    let seen: Vec<bool> = columns.iter().map(Option::is_some).collect();
    assert_eq!(seen, [true, true, true, true, true, false, false, false, false, true]);
    assert!(columns.iter().flatten().all(|rate| (*rate - 100.0).abs() < 0.1), "{columns:?}");
}

#[test]
fn when_nobody_looked_nothing_is_known() {
    let one = |s: u64| sample(s, vec![seen(1, answer(won(1, s, 100 * s)))]);
    let model = fold((0..=5).chain([10]).map(one));
    let columns = model.history.columns(OPENS_MS + 10_000, 10_000, 10, |point| Some(point.flow.at(Kind::Won)));
    assert_eq!(columns.iter().map(Option::is_some).filter(|known| !known).count(), 4, "{columns:?}");
    assert_eq!(columns[9], Some(100.0));
}

#[test]
fn a_new_process_begins_anew_without_a_spike() {
    for by_instance in [true, false] {
        let one = |s: u64, n| sample(s, vec![seen(1, answer(won(1, s, n)))]);
        let mut model = fold([one(0, 50_000), one(1, 50_100)]);
        let mut young = won(1, 2, if by_instance { 60_000 } else { 40 });
        if by_instance {
            young.instance = "another".into();
        }
        model.fold(sample(2, vec![seen(1, answer(young.clone()))]));
        assert_eq!(rate(&model), None, "by instance: {by_instance}");
        let entry = model.log.newest().find(|entry| entry.kind.is_none()).unwrap();
        assert_eq!(entry.text, "is a new process");
        // Its events count from the beginning, so they are new ones.
        assert_eq!(model.log.newest().filter(|entry| entry.text.contains("ready")).count(), 2);
        let mut next = won(1, 3, young.api.as_ref().unwrap().outcomes[0].count + 70);
        next.instance = young.instance;
        model.fold(sample(3, vec![seen(1, answer(next))]));
        assert_eq!(rate(&model), Some(70.0));
    }
}

#[test]
fn events_of_all_daemons_are_one_list_without_repetitions() {
    let model = fold(minute());
    let entries: Vec<_> = model.log.newest().collect();
    assert_eq!(entries.len(), 5, "what both tell is one thing");
    assert!(entries.windows(2).all(|pair| pair[0].at_ms >= pair[1].at_ms));
    assert!(entries.iter().all(|entry| entry.daemons == ["n1", "n2"] && entry.who() == "n1+1"));
}

#[test]
fn stock_is_what_was_read_last() {
    let with_age = |node, left: u64, age_ms| {
        let mut one = sku(7, "Standing", 1_000, 1_000 - left, 0);
        one.seen_ms_ago = age_ms;
        seen(node, answer(told(node, 1, vec![one])))
    };
    for order in [[1, 2], [2, 1]] {
        let [a, b] =
            order.map(|node| if node == 1 { with_age(1, 500, Some(900)) } else { with_age(2, 480, Some(100)) });
        let model = fold([sample(1, vec![a, b])]);
        let row = model.stock.find(SkuId::new(7)).unwrap();
        assert_eq!(row.told.available, Some(480));
        assert_eq!((row.told.wins, row.told.waiting), (500 + 520, 6), "asked of all of them");
    }
    // A daemon that has not read Redis yet says nothing about the stock.
    let model = fold([sample(1, vec![with_age(1, 500, Some(900)), with_age(2, 0, None)])]);
    assert_eq!(model.stock.find(SkuId::new(7)).unwrap().told.available, Some(500));
}

#[test]
fn what_left_the_catalogue_is_gone_unless_nobody_answers() {
    let one = |s, skus| sample(s, vec![seen(1, answer(told(1, s, skus)))]);
    let mut model = fold([one(0, skus(0)), one(1, skus(1)[1..].to_vec())]);
    assert_eq!(model.stock.rows().len(), 5);
    assert!(model.stock.find(SkuId::new(101)).is_none());
    model.fold(sample(2, vec![failed(1)]));
    assert_eq!(model.stock.rows().len(), 5);
}

#[test]
fn an_estimate_needs_time_and_something_that_goes() {
    let row = |model: &Model, id| model.stock.find(SkuId::new(id)).unwrap().clone();
    let one =
        |s: u64, left: u64| sample(s, vec![seen(1, answer(told(1, s, vec![sku(7, "", 1_000, 1_000 - left, 0)])))]);
    let mut model = fold((0..3).map(|s| one(s, 900 - 10 * s)));
    assert_eq!((row(&model, 7).pace(), row(&model, 7).lasts_ms()), (None, None), "too early");
    (3..=60).for_each(|s| model.fold(one(s, 900 - 10 * s)));
    assert_eq!(row(&model, 7).pace(), Some(10.0));
    assert_eq!(row(&model, 7).lasts_ms(), Some(30_000));
    assert_eq!(model.stock.sum.lasts_ms, Some(30_000));
    // Nothing goes any more: no estimate, not an endless one.
    (61..=100).for_each(|s| model.fold(one(s, 300)));
    assert_eq!((row(&model, 7).pace(), row(&model, 7).lasts_ms()), (Some(0.0), None));
    // Units come back: the pace is what goes in the end.
    (101..=110).for_each(|s| model.fold(one(s, 300 + s)));
    assert_eq!(row(&model, 7).pace(), Some(0.0));
    assert_eq!(model.stock.sum.lasts_ms, None);
}

#[test]
fn another_capacity_is_another_stock() {
    let one = |s: u64, capacity, left| {
        sample(s, vec![seen(1, answer(told(1, s, vec![sku(7, "", capacity, capacity - left, 0)])))])
    };
    let mut model = fold((0..=20).map(|s| one(s, 1_000, 900 - 10 * s)));
    assert!(model.stock.rows()[0].pace().is_some());
    model.fold(one(21, 5_000, 4_690));
    assert_eq!(model.stock.rows()[0].pace(), None);
}

#[test]
fn a_window_counts_what_happened_in_it() {
    let model = fold(minute());
    let window = model.totals.window(30_000);
    assert_eq!(window.span_ms, 30_000);
    let sold_out = window.outcomes.iter().find(|it| it.0 == Kind::SoldOut).unwrap();
    assert_eq!(sold_out.2, 2 * 4_100 * 30);
    assert_eq!(window.outcomes[0].0, Kind::SoldOut, "the most frequent first");
    // Longer than anybody has looked: all there is, and it says so.
    assert_eq!(model.totals.window(3_600_000).span_ms, 60_000);
    assert!(window.latencies.sold_out.quantile_us(0.5) < window.latencies.won.quantile_us(0.5));
}

#[test]
fn memory_is_bounded_whatever_comes() {
    let model = fold((0..4_000).map(|s| sample(s, vec![seen(1, answer(won(1, s, 100 * s)))])));
    assert!(model.history.len() <= 900 + 720 && model.log.len() <= 500);
    // An hour back there still is a curve, without holes.
    let columns = model.history.columns(OPENS_MS + 3_999_000, 3_600_000, 60, |point| Some(point.flow.at(Kind::Won)));
    assert!(columns.iter().all(Option::is_some), "{columns:?}");
    assert!(model.totals.window(3_600_000).span_ms.abs_diff(3_600_000) <= 10_000);
}

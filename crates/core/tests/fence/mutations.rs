//! Every rule is needed: a world without it breaks. Where two layers keep the same promise, the world without both breaks,
//! and the world without one of them does not.

use crate::rules::{Rates, Rules, Shape};
use crate::{Sum, run};
use std::ops::Range;

const STEPS: u64 = 700;
/// Runs in which a world with one of two layers must hold.
const SEEDS_HELD: u64 = 1_500;

fn without(change: impl FnOnce(&mut Rules)) -> Shape {
    let mut shape = Shape::NORMAL;
    change(&mut shape.rules);
    shape
}

/// The first seed that breaks, and how.
fn broken_by(mut seeds: Range<u64>, steps: u64, shape: Shape) -> Option<String> {
    let mut sum = Sum::default();
    seeds.find_map(|seed| run(seed, steps, shape, &mut sum).err())
}

fn must_break(name: &str, seeds: Range<u64>, shape: Shape) {
    let broken = broken_by(seeds.clone(), STEPS, shape);
    println!("without {name}: {broken:?}");
    assert!(broken.is_some(), "{seeds:?} without {name}, and nothing broke");
}

fn must_hold(name: &str, shape: Shape) {
    let broken = broken_by(0..SEEDS_HELD, STEPS, shape);
    assert_eq!(broken, None, "the other layer should hold without {name}");
}

#[test]
fn events_behind_a_newer_fence_must_be_void() {
    must_break("void", 0..5_000, without(|rules| rules.void = false));
}

#[test]
fn leases_must_be_fresh_and_waited_out() {
    must_break("lease", 0..5_000, without(|rules| rules.lease = false));
}

/// Stock that is at home is on a primary that the epoch names; here, where no slot moves, also the other way round.
#[test]
fn the_replication_id_and_the_home_back_each_other() {
    must_hold("replid", without(|rules| rules.replid = false));
    must_hold("home", without(|rules| rules.home = false));
    must_break("replid and home", 0..5_000, without(|rules| (rules.replid, rules.home) = (false, false)));
}

#[test]
fn the_log_must_know_before_units_are_sold_again() {
    must_break("log first", 0..5_000, without(|rules| rules.log_first = false));
}

#[test]
fn the_projection_must_have_passed_the_fences() {
    must_break("projected", 0..5_000, without(|rules| rules.projected = false));
}

/// Two that set up at once: the second has seen no epoch when it began, and yet there is one when it appends its fences.
#[test]
fn only_the_first_number_of_all_need_not_wait() {
    let rates = Rates { faults: 1, sweeps: 40, deliveries: 40, replications: 10, coordination: 300, bad_appends: 1 };
    let shape = Shape { rates: Some(rates), partitions: 1, ..without(|rules| rules.first = false) };
    let broken = broken_by(0..10_000, 250, shape);
    assert!(broken.is_some(), "whoever has seen no epoch did not wait, and nothing broke");
}

/// An `EXPIRED` behind the fence of its own partition is void; if its units were given back all the same, a Redis that nobody
/// else reaches could sell them before the partition of the next order is fenced.
#[test]
fn units_must_be_given_back_under_the_lease() {
    let rates = Rates { faults: 16, sweeps: 250, deliveries: 150, replications: 10, coordination: 150, bad_appends: 1 };
    let shape = Shape { rates: Some(rates), partitions: 3, ..without(|rules| rules.release_lease = false) };
    must_break("release under the lease", 0..20_000, shape);
}

#[test]
fn the_epoch_and_the_lease_of_releases_back_each_other() {
    must_hold("epoch", without(|rules| rules.epoch = false));
    let both = without(|rules| (rules.epoch, rules.release_lease) = (false, false));
    must_break("epoch and release under the lease", 0..20_000, Shape { partitions: 1, ..both });
}

#[test]
fn the_guard_of_the_loader_and_the_epoch_back_each_other() {
    must_hold("loader", without(|rules| rules.loader = false));
    must_break("loader and epoch", 0..20_000, without(|rules| (rules.loader, rules.epoch) = (false, false)));
}

/// A release that is late by an epoch: it is kept from harm by its own epoch, by the lease, and at last by its token.
#[test]
fn tokens_hold_where_releases_know_no_epoch() {
    let late = |rules: &mut Rules| (rules.same_epoch, rules.release_lease) = (false, false);
    let shape = |rules: &dyn Fn(&mut Rules)| {
        let shape = without(|all| {
            late(all);
            rules(all);
        });
        Shape { partitions: 1, ..shape }
    };
    must_hold("an epoch and a lease for releases", shape(&|_| {}));
    must_break("token", 0..30_000, shape(&|rules| rules.token = false));
    // Once in 25,000 runs: two claims of the same number, of one order, in two epochs.
    must_break("unique tokens", 25_000..80_000, shape(&|rules| rules.unique_token = false));
}

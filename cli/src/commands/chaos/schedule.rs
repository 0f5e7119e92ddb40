//! The schedule of a run: what goes wrong when, decided by nothing but the seed and the options.
//!
//! Faults overlap freely, but each part has one fault at a time: what a part can suffer twice at once would only be the
//! second fault's bookkeeping.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    dice::Dice,
    kind::{Bad, Kind, Link},
};

/// Nothing goes wrong before the sale has begun.
const QUIET_START_MS: u64 = 1_000;
/// Shortest and longest fault.
const LASTS_MS: (u64, u64) = (500, 12_000);
/// How far a fault may reach beyond the end of the schedule.
const OVERTIME_MS: u64 = 3_000;
/// Pause of a part between two faults: it shall at least begin to recover.
const BREATHER_MS: u64 = 300;

/// One fault that will be injected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Planned {
    /// When, after the beginning of the load.
    pub(super) at_ms: u64,
    /// What.
    #[serde(serialize_with = "by_name")]
    pub(super) kind: Kind,
    /// Which daemon, or which daemon's link; 0 where there is only one.
    pub(super) target: usize,
    /// How long the part stays down, frozen or cut off.
    pub(super) lasts_ms: u64,
    /// 0 to 999: how bad a network is, how much of a tail is lost, how long two primaries are believed in.
    pub(super) much: u64,
}

fn by_name<S: serde::Serializer>(kind: &Kind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&kind.name())
}

impl Planned {
    /// Its end, after the beginning of the load.
    pub(super) fn until_ms(&self) -> u64 {
        self.at_ms + self.lasts_ms
    }

    /// In words.
    pub(super) fn text(&self) -> String {
        let of = match self.kind {
            Kind::FlashdKill | Kind::FlashdPause | Kind::Net(Link::Redis | Link::Mysql, _) => {
                format!(" of flashd {}", self.target + 1)
            }
            _ => String::new(),
        };
        let (at, lasts) = (seconds(self.at_ms), seconds(self.lasts_ms));
        format!("{at} {}{of} for {lasts}", self.kind.name())
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1_000, ms % 1_000 / 100)
}

/// How many of a hundred schedules begin with [`late_words`].
const LATE_WORDS_PERCENT: u64 = 35;

/// Between two faults that are to be apart: time for the slowest recovery.
const APART_MS: u64 = 10_000;

/// What hurts only one thing at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Everything,
    Flashd(usize),
    Redis,
    Kafka,
    Mysql,
    Link(Link, usize),
}

/// The layout of the daemons, one role each.
pub(super) fn roles(seed: u64) -> Vec<&'static str> {
    if Dice::fork(seed, 1).percent(60) { vec!["all", "all"] } else { vec!["api", "api", "worker", "worker"] }
}

/// Plans a run. `kinds` must not be empty. `apart`: one fault at a time, with time to recover after each.
pub(super) fn plan(seed: u64, duration_ms: u64, kinds: &[Kind], daemons: usize, apart: bool) -> Vec<Planned> {
    let mut dice = Dice::fork(seed, 2);
    let wanted = duration_ms * dice.range(40..=70) / 100_000;
    let weighted: Vec<Kind> = kinds.iter().flat_map(|kind| (0..kind.weight()).map(|_| *kind)).collect();
    let mut busy: BTreeMap<Part, Vec<(u64, u64)>> = BTreeMap::new();
    let mut plan: Vec<Planned> = Vec::new();
    if !apart && dice.percent(LATE_WORDS_PERCENT) {
        plan = late_words(&mut dice).into_iter().filter(|one| kinds.contains(&one.kind)).collect();
    }
    // Nothing disturbs the story: it needs a rebuild that comes to its end.
    let story_ends = plan.iter().map(Planned::until_ms).max().unwrap_or(0);
    // Bounded, for parts may be too busy for what is wanted.
    for _ in 0..wanted * 20 {
        if plan.len() as u64 >= wanted.max(1) {
            break;
        }
        let kind = *dice.pick(&weighted);
        let one = draw(&mut dice, kind, duration_ms, daemons);
        if one.at_ms < story_ends {
            continue;
        }
        let (hurt, breather) = if apart { (Part::Everything, APART_MS) } else { (part(&one), BREATHER_MS) };
        let times = busy.entry(hurt).or_default();
        let free = |(from, to): &(u64, u64)| one.until_ms() + breather <= *from || *to + breather <= one.at_ms;
        if times.iter().all(free) {
            times.push((one.at_ms, one.until_ms()));
            plan.push(one);
        }
    }
    plan.sort_by_key(|one| one.at_ms);
    plan
}

/// The hardest case for the log, which chance alone rarely makes: the broker is slow, so events queue up in a daemon; the
/// daemon is frozen with them, Redis forgets, everything is rebuilt without them – and then they arrive.
fn late_words(dice: &mut Dice) -> Vec<Planned> {
    let at_ms = dice.range(QUIET_START_MS..=2_500);
    let frozen_ms = at_ms + dice.range(300..=900);
    let target = usize::try_from(dice.range(0..=1)).unwrap_or(0);
    let forgets = *dice.pick(&[Kind::RedisKill, Kind::RedisOldRdb, Kind::RedisFailover, Kind::RedisFlush]);
    let one = |at_ms, kind, target, lasts_ms, much| Planned { at_ms, kind, target, lasts_ms, much };
    let slow = Kind::Net(Link::Kafka, Bad::Delay);
    vec![
        one(at_ms, slow, 0, 1_200, dice.range(700..=999)),
        one(frozen_ms, Kind::FlashdPause, target, dice.range(6_500..=9_000), 0),
        one(frozen_ms + dice.range(0..=600), forgets, 0, dice.range(500..=1_500), dice.range(0..=500)),
    ]
}

fn draw(dice: &mut Dice, kind: Kind, duration_ms: u64, daemons: usize) -> Planned {
    let at_ms = dice.range(QUIET_START_MS..=duration_ms.max(QUIET_START_MS + 1));
    // Short ones are more likely: half of them are below 2.5 s.
    let (low, high) = LASTS_MS;
    let share = dice.range(0..=1_000);
    let lasts_ms = low + (high - low) * share * share * share / 1_000_000_000;
    let most = (duration_ms + OVERTIME_MS).saturating_sub(at_ms);
    let target = match kind {
        Kind::FlashdKill | Kind::FlashdPause | Kind::Net(Link::Redis | Link::Mysql, _) => {
            usize::try_from(dice.range(0..=daemons as u64 - 1)).unwrap_or(0)
        }
        _ => 0,
    };
    Planned { at_ms, kind, target, lasts_ms: lasts_ms.min(most).max(low), much: dice.range(0..=999) }
}

fn part(one: &Planned) -> Part {
    match one.kind {
        Kind::FlashdKill | Kind::FlashdPause => Part::Flashd(one.target),
        Kind::RedisKill
        | Kind::RedisOldRdb
        | Kind::RedisFlush
        | Kind::RedisPause
        | Kind::RedisFailover
        | Kind::RedisSplitBrain => Part::Redis,
        Kind::KafkaKill | Kind::KafkaPause => Part::Kafka,
        Kind::MysqlKill | Kind::MysqlPause => Part::Mysql,
        Kind::Net(link, _) => Part::Link(link, one.target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_schedule() {
        let plan = |seed| plan(seed, 15_000, &Kind::all(), 2, false);
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }

    #[test]
    fn faults_overlap_but_not_on_one_part() {
        let mut overlaps = 0;
        for seed in 0..200 {
            let plan = plan(seed, 15_000, &Kind::all(), 2, false);
            assert!((3..=10).contains(&plan.len()), "{plan:#?}");
            for (index, one) in plan.iter().enumerate() {
                assert!(one.at_ms >= QUIET_START_MS && one.until_ms() <= 18_500, "{one:?}");
                for other in &plan[index + 1..] {
                    let apart = one.until_ms() <= other.at_ms || other.until_ms() <= one.at_ms;
                    assert!(apart || part(one) != part(other), "{one:?} and {other:?}");
                    overlaps += u32::from(!apart);
                }
            }
        }
        assert!(overlaps > 400, "{overlaps}");
    }

    #[test]
    fn faults_can_be_apart() {
        for seed in 0..50 {
            let plan = plan(seed, 90_000, &Kind::all(), 2, true);
            assert!(
                plan.len() >= 3 && plan.windows(2).all(|two| two[0].until_ms() + APART_MS <= two[1].at_ms),
                "{plan:#?}"
            );
        }
    }

    #[test]
    fn every_kind_is_drawn() {
        let seen: std::collections::BTreeSet<Kind> =
            (0..500).flat_map(|seed| plan(seed, 15_000, &Kind::all(), 2, false)).map(|one| one.kind).collect();
        assert_eq!(seen.len(), Kind::all().len());
    }
}

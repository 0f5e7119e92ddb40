//! The words of a scenario file.
//!
//! Owns the shape and the spellings: durations with units, counts such as `10k`, shares from 0 to 1. What is left out is as in
//! [`Plan::default`].

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, de};

use crate::buyers::Buyers;
use crate::plan::{MAX_RUN_MS, OpenLoop, Plan, WHOLE_STAGE};
use crate::schedule::{Phase, Schedule};
use crate::stage::Stage;
use crate::units::{parse_count, parse_duration_ms, parse_range_ms};

/// Connections of an open loop whose file says nothing.
pub(crate) const CONNECTIONS: u32 = 1_000;
/// What may count as a late arrival: with more, no generator would be too slow.
const LATE_FROM_MS: std::ops::RangeInclusive<u64> = 1..=10_000;

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    about: String,
    open: Option<Open>,
    closed: Option<Closed>,
    #[serde(default)]
    buyers: BuyersFile,
    #[serde(default)]
    skus: Skus,
    #[serde(default)]
    limits: Limits,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    #[serde(default)]
    poisson: bool,
    connections: Option<Count>,
    phase: Vec<PhaseFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseFile {
    lasts: Millis,
    rate: Option<Rate>,
    from: Option<Rate>,
    to: Option<Rate>,
    at_once: Option<Count>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Closed {
    think: Option<Range>,
    ramp: Option<Ramp>,
    stage: Vec<StageFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StageFile {
    lasts: Millis,
    users: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct BuyersFile {
    quantity: Option<u8>,
    duplicates: Option<f64>,
    second_attempts: Option<f64>,
    second_attempts_after: Option<Range>,
    pay: Option<f64>,
    cancel: Option<f64>,
    settle_after: Option<Range>,
    bots: Option<f64>,
    bot_keys: Option<Count>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Skus {
    zipf: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    until_sold_out: Option<Millis>,
    request_timeout: Option<Millis>,
    longest_retry_after: Option<Millis>,
    attempts: Option<Count>,
    drain: Option<Millis>,
    late_from: Option<Millis>,
}

impl File {
    /// The line about it, and the plan.
    pub(super) fn into_plan(self) -> Result<(String, Plan), String> {
        let mut plan = Plan::default();
        match (self.open, self.closed) {
            (Some(open), None) => plan.open = Some(open.into_loop()?),
            (None, Some(closed)) => closed.fill(&mut plan)?,
            _ => return Err("it needs either [open] or [closed]".to_owned()),
        }
        if self.about.trim().is_empty() || self.about.contains(char::is_control) {
            return Err("`about` says in one line, without control characters, what it is for".to_owned());
        }
        plan.zipf = self.skus.zipf;
        self.buyers.fill(&mut plan)?;
        self.limits.fill(&mut plan)?;
        Ok((self.about, plan))
    }
}

impl Open {
    fn into_loop(self) -> Result<OpenLoop, String> {
        let connections = self.connections.map_or(Ok(CONNECTIONS), |count| small(count, "connections"))?;
        let phases = self.phase.into_iter().map(PhaseFile::into_phase).collect::<Result<Vec<_>, _>>()?;
        Ok(OpenLoop { schedule: Schedule::Phases { phases, poisson: self.poisson }, connections })
    }
}

impl PhaseFile {
    fn into_phase(self) -> Result<Phase, String> {
        let (from, to) = match (self.rate, self.from, self.to) {
            (Some(rate), None, None) => (rate.0, rate.0),
            (None, Some(from), Some(to)) => (from.0, to.0),
            (None, None, None) => (0.0, 0.0),
            _ => return Err("a phase has `rate`, or `from` and `to`, or none of them".to_owned()),
        };
        let at_once = self.at_once.map_or(0, |count| count.0);
        Ok(Phase { duration_ms: self.lasts.0, from_per_s: from, to_per_s: to, at_once })
    }
}

impl Closed {
    fn fill(self, plan: &mut Plan) -> Result<(), String> {
        let stage = |stage: &StageFile| {
            Ok::<_, String>(Stage { duration_ms: stage.lasts.0, buyers: small(stage.users, "users")? })
        };
        plan.stages = self.stage.iter().map(stage).collect::<Result<_, _>>()?;
        plan.think_ms = self.think.map_or(plan.think_ms, |range| range.0);
        plan.ramp_ms = self.ramp.map_or(plan.ramp_ms, |ramp| ramp.0);
        Ok(())
    }
}

impl BuyersFile {
    fn fill(self, plan: &mut Plan) -> Result<(), String> {
        let normal = Buyers::default();
        plan.quantity = self.quantity.unwrap_or(plan.quantity);
        plan.retry_share = self.duplicates.unwrap_or(plan.retry_share);
        plan.buyers = Buyers {
            second_attempt_share: self.second_attempts.unwrap_or(normal.second_attempt_share),
            second_attempt_after_ms: self.second_attempts_after.map_or(normal.second_attempt_after_ms, |range| range.0),
            pay_share: self.pay.unwrap_or(normal.pay_share),
            cancel_share: self.cancel.unwrap_or(normal.cancel_share),
            settle_after_ms: self.settle_after.map_or(normal.settle_after_ms, |range| range.0),
            bot_share: self.bots.unwrap_or(normal.bot_share),
            bot_keys: self.bot_keys.map_or(Ok(normal.bot_keys), |count| small(count, "bot_keys"))?,
        };
        Ok(())
    }
}

impl Limits {
    fn fill(self, plan: &mut Plan) -> Result<(), String> {
        plan.sold_out_grace_ms = self.until_sold_out.map(|ms| ms.0);
        plan.request_timeout_ms = self.request_timeout.map_or(plan.request_timeout_ms, |ms| ms.0);
        plan.max_retry_wait_ms = self.longest_retry_after.map_or(plan.max_retry_wait_ms, |ms| ms.0);
        plan.max_attempts = self.attempts.map_or(Ok(plan.max_attempts), |count| small(count, "attempts"))?;
        plan.late_from_ms = self.late_from.map_or(plan.late_from_ms, |ms| ms.0);
        if !LATE_FROM_MS.contains(&plan.late_from_ms) {
            return Err("`late_from` is 1ms to 10s".to_owned());
        }
        plan.drain_ms = self.drain.map_or(plan.drain_ms, |ms| ms.0);
        Ok(())
    }
}

fn small(count: Count, name: &str) -> Result<u32, String> {
    u32::try_from(count.0).map_err(|_| format!("{name} = {} is too many", count.0))
}

#[derive(Debug, Clone, Copy)]
struct Millis(u64);
#[derive(Debug, Clone, Copy)]
struct Range((u64, u64));
#[derive(Debug, Clone, Copy)]
struct Ramp(u64);
#[derive(Debug, Clone, Copy)]
struct Count(u64);
/// Per second.
#[derive(Debug, Clone, Copy)]
struct Rate(f64);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // No time of a run is longer than the longest run, so none is too large to be reckoned with.
        let read = |text: &str| parse_duration_ms(text).filter(|ms| *ms <= MAX_RUN_MS);
        spelled(from, "a duration with its unit, as in \"30s\", of at most 24 hours", read).map(Self)
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        spelled(from, "a duration or a range, as in \"0.5s..1.5s\"", parse_range_ms).map(Self)
    }
}

impl<'de> Deserialize<'de> for Ramp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let read = |text: &str| if text == "whole stage" { Some(WHOLE_STAGE) } else { parse_duration_ms(text) };
        spelled(from, "a duration, or \"whole stage\"", read).map(Self)
    }
}

/// A string that a function understands.
fn spelled<'de, D: Deserializer<'de>, T>(
    from: D,
    expected: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    read(&text).ok_or_else(|| Error::custom(format!("{text:?} is not {expected}")))
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let number = from.deserialize_any(Number)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be whole and not negative"
        )]
        let whole = number as u64;
        if number.fract() == 0.0 {
            Ok(Self(whole))
        } else {
            Err(Error::custom(format!("{number} is not a whole number")))
        }
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Number).map(Self)
    }
}

/// A number that is not negative, plain or as a count such as `"10k"`.
struct Number;

impl Visitor<'_> for Number {
    type Value = f64;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number, or a count such as \"10k\"")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<f64, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<f64, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<f64, E> {
        if (0.0..=9e15).contains(&number) { Ok(number) } else { Err(E::custom(format!("{number} is out of range"))) }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        let count = parse_count(text).ok_or_else(|| E::custom(format!("{text:?} is not a count such as \"10k\"")))?;
        self.visit_f64(count as f64)
    }
}

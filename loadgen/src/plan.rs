//! What a run shall do: the plan, its defaults and its checks.
//!
//! Owns the [`Plan`] and the `30s:500` spelling of a [`Stage`]. Never touches the network. A plan that
//! passed [`Plan::check`] is bounded in time, in requests and in buyers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::LoadError;

/// Most virtual buyers in one stage; each is a socket and a few kilobytes.
pub const MAX_BUYERS: u32 = 50_000;
/// Longest run, all stages together.
pub const MAX_RUN_MS: u64 = 24 * 3600 * 1000;
/// Most different SKUs in one run.
pub const MAX_SKUS: usize = 10_000;
/// Most load threads.
pub const MAX_THREADS: usize = 64;
/// The largest weight of a SKU; it bounds the precomputed rotation.
pub(crate) const MAX_WEIGHT: u32 = 1_000;

/// A span of the run with a fixed number of buyers, written `30s:500`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stage {
    /// How long the stage lasts, its ramp included.
    pub duration_ms: u64,
    /// Buyers at the end of the ramp.
    pub buyers: u32,
}

impl FromStr for Stage {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let bad = || LoadError::Plan(format!("stage {text:?} is not DURATION:BUYERS, as in 30s:500"));
        let (duration, buyers) = text.split_once(':').ok_or_else(bad)?;
        let duration_ms = parse_duration_ms(duration).ok_or_else(bad)?;
        let buyers = parse_count(buyers).and_then(|n| u32::try_from(n).ok()).ok_or_else(bad)?;
        Ok(Self { duration_ms, buyers })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.duration_ms.is_multiple_of(1000) {
            write!(f, "{}s:{}", self.duration_ms / 1000, self.buyers)
        } else {
            write!(f, "{}ms:{}", self.duration_ms, self.buyers)
        }
    }
}

/// One SKU to buy and how often it is chosen in proportion to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SkuShare {
    /// The SKU's id.
    pub sku_id: u64,
    /// Its weight; equal weights mean round robin.
    pub weight: u32,
}

impl FromStr for SkuShare {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let bad = || LoadError::Plan(format!("sku {text:?} is not ID or ID=WEIGHT, as in 1 or 1=3"));
        let (id, weight) = text.split_once('=').unwrap_or((text, "1"));
        let sku_id = id.parse().map_err(|_| bad())?;
        let weight = weight.parse().map_err(|_| bad())?;
        Ok(Self { sku_id, weight })
    }
}

/// Everything the engine needs to know before it starts.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Base URL, `http://host:port`.
    pub target: String,
    /// The only host outside loopback that may be loaded.
    pub allow_remote: Option<String>,
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// Time in which a stage moves from the previous number of buyers to its own.
    pub ramp_ms: u64,
    /// What is bought.
    pub skus: Vec<SkuShare>,
    /// Units per purchase.
    pub quantity: u8,
    /// Share of purchases (0 to 1) that are sent once more with the same key.
    pub retry_share: f64,
    /// End when every SKU has been sold out for this long; `None` runs all stages.
    pub sold_out_grace_ms: Option<u64>,
    /// Load threads, each with its own runtime.
    pub threads: usize,
    /// Seed of user ids, keys and choices; `None` draws one.
    pub seed: Option<u64>,
    /// After this a request counts as unanswered.
    pub request_timeout_ms: u64,
    /// Longest Retry-After that a buyer honours in full.
    pub max_retry_wait_ms: u64,
    /// Attempts per purchase while its outcome is unknown or the server asks to come back.
    pub max_attempts: u32,
    /// After the last stage, time for buyers in doubt to learn their outcome.
    pub drain_ms: u64,
    /// Upper bound of requests in the whole run.
    pub max_requests: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            target: String::new(),
            allow_remote: None,
            stages: vec![Stage { duration_ms: 30_000, buyers: 200 }],
            ramp_ms: 500,
            skus: Vec::new(),
            quantity: 1,
            retry_share: 0.05,
            sold_out_grace_ms: None,
            threads: 1,
            seed: None,
            request_timeout_ms: 10_000,
            max_retry_wait_ms: 5_000,
            max_attempts: 50,
            drain_ms: 5_000,
            max_requests: 200_000_000,
        }
    }
}

impl Plan {
    /// Length of all stages together.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.stages.iter().fold(0, |sum, stage| sum.saturating_add(stage.duration_ms))
    }

    /// The largest number of buyers of any stage.
    #[must_use]
    pub fn peak_buyers(&self) -> u32 {
        self.stages.iter().map(|stage| stage.buyers).max().unwrap_or(0)
    }

    /// How many buyers there shall be at a moment of the run; 0 after its end.
    #[must_use]
    pub fn buyers_at(&self, elapsed_ms: u64) -> u32 {
        let mut start_ms = 0;
        let mut before = 0_u32;
        for stage in &self.stages {
            let into_ms = elapsed_ms.saturating_sub(start_ms);
            if into_ms < stage.duration_ms {
                let ramp_ms = self.ramp_ms.min(stage.duration_ms / 2);
                return between(before, stage.buyers, into_ms, ramp_ms);
            }
            start_ms += stage.duration_ms;
            before = stage.buyers;
        }
        0
    }

    /// Refuses a plan that is unbounded, empty or senseless, with the reason.
    pub fn check(&self) -> Result<(), LoadError> {
        let rules: [(bool, &str); 10] = [
            (self.stages.is_empty(), "no stage: give at least one, as in 30s:500"),
            (
                self.stages.iter().any(|s| s.duration_ms == 0 || s.buyers == 0 || s.buyers > MAX_BUYERS),
                "a stage needs a duration and 1 to 50,000 buyers",
            ),
            (self.duration_ms() > MAX_RUN_MS, "the stages together last longer than 24 hours"),
            (self.skus.is_empty(), "no SKU to buy"),
            (self.skus.len() > MAX_SKUS, "more than 10,000 SKUs"),
            (self.skus.iter().any(|s| s.weight == 0 || s.weight > MAX_WEIGHT), "a SKU's weight is 1 to 1,000"),
            (!(1..=10).contains(&self.quantity), "quantity is 1 to 10"),
            (!(0.0..=1.0).contains(&self.retry_share), "the retry share is 0 to 1"),
            (self.threads == 0 || self.threads > MAX_THREADS, "threads are 1 to 64"),
            (
                self.request_timeout_ms == 0 || self.max_attempts == 0 || self.max_requests == 0,
                "time-out, attempts and requests must be more than 0",
            ),
        ];
        match rules.iter().find(|(broken, _)| *broken) {
            Some((_, reason)) => Err(LoadError::Plan((*reason).to_owned())),
            None => Ok(()),
        }
    }

    /// The request time-out as a duration.
    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

/// Linear step from `before` to `after`; at least one buyer as soon as the stage has begun.
fn between(before: u32, after: u32, into_ms: u64, ramp_ms: u64) -> u32 {
    if into_ms >= ramp_ms {
        return after;
    }
    let (from, to) = (i64::from(before), i64::from(after));
    let into = i64::try_from(into_ms).unwrap_or(i64::MAX);
    let ramp = i64::try_from(ramp_ms).unwrap_or(i64::MAX);
    let now = from + (to - from) * into / ramp;
    u32::try_from(now).unwrap_or(0).max(1)
}

/// Reads `500ms`, `30s`, `5m`, `1h`; a unit is required.
#[must_use]
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(split);
    let factor_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor_ms)
}

/// Reads `500`, `10k`, `2M`.
#[must_use]
pub fn parse_count(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 1_000),
        b'M' => (&text[..text.len() - 1], 1_000_000),
        _ => (text, 1),
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_spelling() {
        assert_eq!("30s:500".parse::<Stage>().unwrap(), Stage { duration_ms: 30_000, buyers: 500 });
        assert_eq!("500ms:1k".parse::<Stage>().unwrap(), Stage { duration_ms: 500, buyers: 1_000 });
        for bad in ["30:500", "30s", "s:1", "30s:-1", "30s:+5", "", ":", "30d:1", "99999999999999999h:1", "1s:k"] {
            assert!(bad.parse::<Stage>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ramp_goes_up_and_down_between_stages() {
        let plan = Plan {
            stages: vec!["10s:100".parse().unwrap(), "10s:50".parse().unwrap()],
            ramp_ms: 1_000,
            ..Plan::default()
        };
        assert_eq!(plan.buyers_at(0), 1);
        assert_eq!(plan.buyers_at(500), 50);
        assert_eq!(plan.buyers_at(1_000), 100);
        assert_eq!(plan.buyers_at(10_500), 75);
        assert_eq!(plan.buyers_at(19_999), 50);
        assert_eq!(plan.buyers_at(20_000), 0);
    }

    #[test]
    fn senseless_plans_are_refused() {
        let good = Plan { skus: vec!["1".parse().unwrap()], ..Plan::default() };
        good.check().unwrap();
        let cases = [
            Plan { stages: vec![], ..good.clone() },
            Plan { quantity: 11, ..good.clone() },
            Plan { retry_share: f64::NAN, ..good.clone() },
            Plan { skus: vec![], ..good.clone() },
            Plan { stages: vec!["25h:1".parse().unwrap()], ..good.clone() },
        ];
        for case in cases {
            assert!(case.check().is_err(), "{case:?}");
        }
    }
}

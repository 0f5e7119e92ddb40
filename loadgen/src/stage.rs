//! The stages of a closed loop and what is bought, with their spellings on a command line.

use std::fmt;
use std::str::FromStr;

use crate::LoadError;
use crate::units::{duration_words, parse_count, parse_duration_ms};

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

impl Stage {
    /// The stage in words: `500 users for 30 s`.
    pub(crate) fn words(&self) -> String {
        format!("{} users for {}", self.buyers, duration_words(self.duration_ms))
    }
}

/// Weights of Zipf's law: the SKU at place `n` (from 1) is wanted `1 / n^exponent` times as often as the first.
pub(crate) fn zipf(skus: &mut [SkuShare], exponent: f64) {
    for (place, sku) in skus.iter_mut().enumerate() {
        let weight = f64::from(crate::plan::MAX_WEIGHT) / ((place + 1) as f64).powf(exponent);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to the largest weight")]
        let weight = weight.round().clamp(1.0, f64::from(crate::plan::MAX_WEIGHT)) as u32;
        sku.weight = weight;
    }
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
    fn zipf_halves_the_second_and_never_reaches_nothing() {
        let mut skus: Vec<SkuShare> = (1..=2_000).map(|sku_id| SkuShare { sku_id, weight: 1 }).collect();
        zipf(&mut skus, 1.0);
        assert_eq!((skus[0].weight, skus[1].weight, skus[9].weight, skus[1_999].weight), (1_000, 500, 100, 1));
        zipf(&mut skus, 0.0);
        assert!(skus.iter().all(|sku| sku.weight == 1_000));
    }
}

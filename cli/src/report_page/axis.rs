//! Axes: where a value stands, and which values are written beside it.

/// How values are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// Evenly, from 0.
    Linear,
    /// Each step is a factor; values of 0 or less have no place.
    Log,
}

/// One axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// What it measures, with the unit.
    pub(super) label: &'static str,
    pub(super) scale: Scale,
    /// Values for people.
    pub(super) text: fn(f64) -> String,
}

/// An axis that knows its ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    scale: Scale,
    from: f64,
    to: f64,
}

impl Range {
    /// Holds all values; a range of its own where there are none.
    pub(super) fn of(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let usable = values.filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0));
        let (low, high) = usable.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        let (from, to) = match scale {
            Scale::Linear => (0.0, if high > 0.0 { high } else { 1.0 }),
            Scale::Log if low > high => (1.0, 10.0),
            Scale::Log if high / low < 2.0 => (low / 1.5, high * 1.5),
            Scale::Log => (low, high),
        };
        Self { scale, from, to }
    }

    /// Where a value stands between 0 and 1; `None` if it has no place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let share = match self.scale {
            Scale::Linear => (value - self.from) / (self.to - self.from),
            Scale::Log if value <= 0.0 => return None,
            Scale::Log => (value / self.from).ln() / (self.to / self.from).ln(),
        };
        share.is_finite().then(|| share.clamp(0.0, 1.0))
    }

    /// The values to write: round ones, six or so.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let step = round_step((self.to - self.from) / 5.0);
                (0..=10).map(|n| f64::from(n) * step).take_while(|value| *value <= self.to * 1.000_1).collect()
            }
            Scale::Log => {
                let first = self.from.log10().floor();
                let powers = (0..=12).map(|n| 10_f64.powf(first + f64::from(n))).take_while(|power| *power <= self.to);
                let few = (self.to / self.from).log10() < 2.5;
                let factors: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
                let all = powers.flat_map(|power| factors.iter().map(move |factor| power * factor));
                all.filter(|value| (self.from * 0.999..=self.to * 1.001).contains(value)).collect()
            }
        }
    }
}

/// 1, 2 or 5 times a power of ten, at least this.
fn round_step(at_least: f64) -> f64 {
    let power = 10_f64.powf(at_least.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= at_least * 0.999)
        .unwrap_or(at_least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let linear = Range::of(Scale::Linear, [0.0, 4_350.0].into_iter());
        assert_eq!(linear.ticks(), [0.0, 1_000.0, 2_000.0, 3_000.0, 4_000.0]);
        let log = Range::of(Scale::Log, [0.0, 120.0, 90_000.0].into_iter());
        assert_eq!(log.ticks(), [1_000.0, 10_000.0]);
        assert_eq!((log.place(0.0), log.place(120.0), log.place(90_000.0)), (None, Some(0.0), Some(1.0)));
        let narrow = Range::of(Scale::Log, [100.0, 900.0].into_iter());
        assert_eq!(narrow.ticks(), [100.0, 200.0, 500.0]);
    }

    #[test]
    fn nothing_and_one_value_are_no_trouble() {
        for values in [vec![], vec![0.0], vec![5.0], vec![f64::NAN]] {
            for scale in [Scale::Linear, Scale::Log] {
                let range = Range::of(scale, values.iter().copied());
                assert!(range.ticks().iter().all(|tick| range.place(*tick).is_some()), "{values:?} {scale:?}");
            }
        }
    }
}

//! The Prometheus text format, version 0.0.4: what is written follows the definitions, so nothing can be told that is not
//! defined and documented.
//!
//! Histograms are written with powers of two of a microsecond as bounds: there, and only there, buckets of the fine histogram
//! begin, so the coarse counts are exact. Durations are whole microseconds, rounded down.

use super::definitions::{Kind, Metric};
use flash_core::stats::{Histogram, bucket_of};
use std::fmt::{Display, Write as _};

/// `log2` of the first and of the last bound of a histogram, in microseconds: 32 µs and 67 s.
const BOUNDS: std::ops::RangeInclusive<u32> = 5..=26;

/// A page under construction.
#[derive(Debug)]
pub(crate) struct Page(String);

/// One metric of it, whose head is written already.
pub(crate) struct Family<'a> {
    text: &'a mut String,
    metric: &'static Metric,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self(String::with_capacity(64 * 1024))
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    /// Begins a metric. Without a sample it is told to exist and have none yet.
    pub(crate) fn family(&mut self, metric: &'static Metric) -> Family<'_> {
        let Metric { name, kind, help, .. } = metric;
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {}", kind.as_str());
        Family { text: &mut self.0, metric }
    }

    /// A metric without labels.
    pub(crate) fn number(&mut self, metric: &'static Metric, value: impl Display) {
        self.family(metric).sample(&[], value);
    }

    /// A metric without labels that is not always known.
    pub(crate) fn optional(&mut self, metric: &'static Metric, value: Option<impl Display>) {
        let mut family = self.family(metric);
        if let Some(value) = value {
            family.sample(&[], value);
        }
    }

    /// A histogram without labels.
    pub(crate) fn durations(&mut self, metric: &'static Metric, histogram: &Histogram) {
        self.family(metric).histogram(&[], histogram);
    }
}

impl Family<'_> {
    /// One number under the values of the metric's labels, in their order.
    pub(crate) fn sample(&mut self, labels: &[&str], value: impl Display) {
        debug_assert!(self.metric.kind != Kind::Histogram, "{}", self.metric.name);
        let labels = self.labels(labels, None);
        let _ = writeln!(self.text, "{}{labels} {value}", self.metric.name);
    }

    /// One histogram of durations.
    pub(crate) fn histogram(&mut self, labels: &[&str], histogram: &Histogram) {
        debug_assert!(self.metric.kind == Kind::Histogram, "{}", self.metric.name);
        let name = self.metric.name;
        let mut buckets = histogram.buckets().peekable();
        let mut total = 0;
        for bound in BOUNDS {
            let first_above = bucket_of(1 << bound);
            while let Some((_, count)) = buckets.next_if(|(bucket, _)| *bucket < first_above) {
                total += count;
            }
            let bucket = self.labels(labels, Some(&seconds_of_us(1 << bound).to_string()));
            let _ = writeln!(self.text, "{name}_bucket{bucket} {total}");
        }
        let count = total + buckets.map(|(_, count)| count).sum::<u64>();
        let bucket = self.labels(labels, Some("+Inf"));
        let labels = self.labels(labels, None);
        let _ = writeln!(self.text, "{name}_bucket{bucket} {count}");
        let _ = writeln!(self.text, "{name}_sum{labels} {}", seconds_of_us(histogram.sum_us));
        let _ = writeln!(self.text, "{name}_count{labels} {count}");
    }

    fn labels(&self, values: &[&str], le: Option<&str>) -> String {
        debug_assert!(values.len() == self.metric.labels.len(), "{}", self.metric.name);
        let named = self.metric.labels.iter().copied().zip(values.iter().copied());
        let pairs = named.chain(le.map(|le| ("le", le))).map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
        let pairs = pairs.collect::<Vec<_>>().join(",");
        if pairs.is_empty() { pairs } else { format!("{{{pairs}}}") }
    }
}

/// Seconds, as the base unit demands.
#[expect(clippy::cast_precision_loss, reason = "for people; exact up to 285 years")]
pub(crate) fn seconds_of_us(us: u64) -> f64 {
    us as f64 / 1e6
}

/// Seconds, as the base unit demands.
pub(crate) fn seconds(ms: u64) -> f64 {
    seconds_of_us(ms.saturating_mul(1000))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::definitions as is;
    use super::*;
    use flash_core::stats::Timings;
    use std::time::Duration;

    #[test]
    fn histograms_are_cumulative_and_exact_at_powers_of_two() {
        let timings = Timings::default();
        for us in [10, 63, 64, 127, 128, 100_000_000] {
            timings.observe(Duration::from_micros(us));
        }
        let mut page = Page::new();
        page.family(&is::PURCHASE_DURATION).histogram(&["won"], &timings.read());
        let text = page.into_text();
        for (le, count) in
            [("0.000032", 1), ("0.000064", 2), ("0.000128", 4), ("0.000256", 5), ("67.108864", 5), ("+Inf", 6)]
        {
            let line = format!("purchase_duration_seconds_bucket{{outcome=\"won\",le=\"{le}\"}} {count}\n");
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(text.contains("purchase_duration_seconds_count{outcome=\"won\"} 6\n"), "{text}");
        assert!(text.contains("purchase_duration_seconds_sum{outcome=\"won\"} 100.000392\n"), "{text}");
    }

    #[test]
    fn labels_cannot_break_out() {
        let mut page = Page::new();
        page.family(&is::REDIS_MEMORY_USED).sample(&["a\"b\\c\nd"], 1);
        assert!(page.into_text().ends_with("redis_memory_used_bytes{node=\"a\\\"b\\\\c\\nd\"} 1\n"));
    }
}

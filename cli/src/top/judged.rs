//! What is to be said of the state: the facts that are drawn, handed to the one judge.

use super::state::State;
use crate::live::judge::{Facts, Judgement, P99s, Word, judge};

impl State {
    /// What the sale is doing.
    pub(crate) fn judgement(&self) -> Judgement {
        let (model, now_ms) = (self.shown(), self.shown_at_ms());
        let latencies = &self.window.latencies;
        let age_of = |at_ms: u64| now_ms.saturating_sub(at_ms);
        judge(&Facts {
            daemons: model.known(),
            units: model.stock.sum.units,
            p99: P99s {
                reserve: latencies.reserve.quantile_us(0.99),
                produce: latencies.produce.quantile_us(0.99),
                ping: latencies.ping.quantile_us(0.99),
            },
            answered_ms_ago: model.answered_at_ms.map(age_of),
            is_late: model.sampled_at_ms.is_some_and(|at_ms| age_of(at_ms) > self.interval_ms * 3 + 1_000),
            now_ms,
        })
    }

    /// Whether what goes on now can be thought to go on: nothing is foretold of a sale that has stopped, or is not seen.
    pub(crate) fn foretells(&self) -> bool {
        self.judgement().word == Word::Selling
    }
}

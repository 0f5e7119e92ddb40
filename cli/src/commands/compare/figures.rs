//! What counts of a turn: was anything sold twice, was anything lost, how fast was it.
//!
//! Pure. The same figures for every server; only where the truth is read differs: a naive server's own table, or – for flashd –
//! log, MySQL and Redis, as in every load test.

use std::collections::HashMap;

use flash_loadgen::{Finished, Latency};
use flash_naive::Order;
use serde::{Deserialize, Serialize};

use crate::verdict::{Kind, Outcome, Verdict};

/// The figures of one turn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Units for sale.
    pub(crate) tickets: u64,
    /// Units that buyers were told to have.
    pub(crate) told: u64,
    /// Units beyond those for sale, told or in its tables, whichever is more.
    pub(crate) oversold: u64,
    /// Orders that buyers were told and that its tables do not have.
    pub(crate) lost: u64,
    /// Orders in its tables that no buyer was told of.
    pub(crate) unannounced: u64,
    /// Purchases accepted per second, from the start to the last of them.
    pub(crate) accepted_per_s: f64,
    /// When the last unit was told, if somebody was refused in the end; `null`: it never was sold out.
    pub(crate) sold_out_after_ms: Option<u64>,
    /// Answers of any kind per second.
    pub(crate) answers_per_s: f64,
    /// Latency of accepted purchases, from the intended start.
    pub(crate) win: Latency,
    /// Latency of sold-out answers, from the intended start.
    pub(crate) sold_out: Latency,
    /// Requests without a proper answer: time-outs, lost connections, 5xx.
    pub(crate) errors: u64,
    /// Clear answers other than a win or sold out, such as "come back later".
    pub(crate) refusals: u64,
    /// Buyers who came and never got a connection.
    pub(crate) never_served: u64,
    /// flashd only: what the verdict found, in its words; empty if it is clean.
    pub(crate) broken: Vec<String>,
    /// flashd only: the verdict is clean, not merely open. For a naive server there is no such claim.
    pub(crate) clean: Option<bool>,
    /// The generator fell behind its own schedule: the figures of speed may not be believed.
    pub(crate) invalid: bool,
    /// What must be known to read these figures.
    pub(crate) remarks: Vec<String>,
}

impl Figures {
    /// From what was told and the orders of this turn's SKU.
    pub(crate) fn of_naive(finished: &Finished, tickets: u32, orders: &[Order]) -> Self {
        let mut unmatched: HashMap<u64, &Order> = orders.iter().map(|order| (order.order_id, order)).collect();
        let mut lost = 0;
        for told in &finished.told {
            let row = unmatched.remove(&told.order_id);
            lost += u64::from(row.is_none_or(|row| row.quantity != u32::from(told.quantity)));
        }
        let in_tables: u64 = orders.iter().map(|order| u64::from(order.quantity)).sum();
        let measured = Self::measured(finished, tickets);
        let oversold = measured.told.max(in_tables).saturating_sub(measured.tickets);
        Self { oversold, lost, unannounced: unmatched.len() as u64, ..measured }
    }

    /// From the verdict of a load test.
    pub(crate) fn of_flashd(finished: &Finished, tickets: u32, verdict: &Verdict) -> Self {
        let found = |kind: &Kind| {
            Some(format!("{} {}", kind.name(), verdict.count(*kind))).filter(|_| verdict.count(*kind) > 0)
        };
        let measured = Self::measured(finished, tickets);
        let remarks = [measured.remarks, verdict.remarks.clone()].concat();
        Self {
            oversold: verdict.count(Kind::Oversold),
            lost: verdict.count(Kind::Lost),
            unannounced: verdict.unannounced,
            broken: Kind::ALL.iter().filter_map(found).collect(),
            clean: Some(verdict.outcome == Outcome::Clean && verdict.settled),
            remarks,
            ..measured
        }
    }

    /// The engine's own rate ends with the schedule; what a slow server still sells after that counts here.
    fn measured(finished: &Finished, tickets: u32) -> Self {
        let run = &finished.report;
        let last_us = finished.told.iter().map(|told| told.answered_us).max().unwrap_or(0);
        let refused = run.latency.sold_out.count > 0;
        Self {
            tickets: u64::from(tickets),
            told: run.units_told,
            accepted_per_s: if last_us == 0 { 0.0 } else { finished.told.len() as f64 * 1e6 / last_us as f64 },
            sold_out_after_ms: refused.then_some(last_us / 1_000),
            answers_per_s: run.throughput.requests_per_s,
            win: run.latency.wins,
            sold_out: run.latency.sold_out,
            errors: run.latency.errors.count,
            refusals: run.latency.refusals.count,
            never_served: run.arrivals.never_started,
            invalid: run.validity.generator_behind,
            remarks: run.validity.reasons.clone(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use flash_loadgen::{Report, Told};

    use super::*;

    fn told(order_id: u64) -> Told {
        let quantity = 1;
        Told {
            order_id,
            reservation_id: 0,
            user_id: 0,
            key: 0,
            sku_id: 1,
            quantity,
            answered_us: order_id * 500_000,
            expires_at_ms: 0,
        }
    }

    fn figures(told_orders: &[u64], rows: &[u64], tickets: u32) -> Figures {
        let report = Report { units_told: told_orders.len() as u64, ..Report::default() };
        let told = told_orders.iter().copied().map(told).collect();
        let finished = Finished { report, told, doubts: vec![], conflicts: vec![], endings: vec![] };
        let order = |order_id: &u64| Order { order_id: *order_id, sku_id: 1, quantity: 1, expires_at_ms: 0 };
        Figures::of_naive(&finished, tickets, &rows.iter().map(order).collect::<Vec<_>>())
    }

    #[test]
    fn told_and_tables_are_compared_order_by_order() {
        let counts = |figures: Figures| (figures.oversold, figures.lost, figures.unannounced);
        assert_eq!(counts(figures(&[1, 2, 3], &[1, 2, 3], 3)), (0, 0, 0));
        assert_eq!(counts(figures(&[1, 2, 3], &[1, 2, 3], 2)), (1, 0, 0), "told more than there is");
        assert_eq!(counts(figures(&[1, 2], &[1, 2, 3, 4], 2)), (2, 0, 2), "more in the tables than there is");
        assert_eq!(counts(figures(&[1, 2], &[1, 3], 2)), (0, 1, 1), "the count is right and the order is not");
        let rate = figures(&[1, 2, 3, 4], &[], 9);
        assert_eq!((rate.accepted_per_s, rate.sold_out_after_ms), (2.0, None), "four within two seconds");
    }

    #[test]
    fn a_verdict_is_taken_over() {
        let finished =
            Finished { report: Report::default(), told: vec![], doubts: vec![], conflicts: vec![], endings: vec![] };
        let verdict = Verdict {
            outcome: Outcome::Broken,
            settled: true,
            counts: [(Kind::Oversold, Some(3)), (Kind::Stuck, Some(1))].into(),
            ..Verdict::default()
        };
        let figures = Figures::of_flashd(&finished, 1, &verdict);
        assert_eq!((figures.oversold, figures.clean), (3, Some(false)));
        assert_eq!(figures.broken, ["OVERSOLD 3", "STUCK 1"]);
    }
}

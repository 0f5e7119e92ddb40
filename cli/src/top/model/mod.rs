//! Samples folded into what is drawn: rates, windows, stock, events – each in a file of its own.
//!
//! Owns everything that is known about the daemons. Never reads a clock, never waits, never draws. Keeps only what some panel
//! shows, in bounded memory; a sample's documents are taken apart and thrown away.

mod daemon;
mod flow;
mod history;
mod log;
mod stock;
mod totals;

pub(crate) use daemon::Daemon;
pub(crate) use flow::{Flow, Kind, total};
pub(crate) use history::{History, Point};
pub(crate) use log::{Entry, EventLog};
pub(crate) use stock::{Parts, SkuRow, Stock, Sum};
pub(crate) use totals::{Totals, Window};

use flash_core::stats::Severity;

use crate::live::{Sample, Told, judge::Known};

/// All daemons, as far as the samples told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// One per URL, in the samples' order.
    pub(crate) daemons: Vec<Daemon>,
    /// What is on sale.
    pub(crate) stock: Stock,
    /// Rates over time.
    pub(crate) history: History,
    /// Counts that only grow, over all daemons and their restarts, with looks back.
    pub(crate) totals: Totals,
    /// What happened.
    pub(crate) log: EventLog,
    /// When the last sample was taken, by the clock of who looks.
    pub(crate) sampled_at_ms: Option<u64>,
    /// When a daemon answered last.
    pub(crate) answered_at_ms: Option<u64>,
}

impl Model {
    /// Takes in one more sample. Samples come in order of time; one from the past is taken as if it were from now.
    pub(crate) fn fold(&mut self, sample: Sample) {
        let at_ms = sample.at_ms.max(self.sampled_at_ms.unwrap_or(0));
        let span_ms = self.sampled_at_ms.map_or(0, |earlier| at_ms - earlier);
        self.daemons.retain(|daemon| sample.daemons.iter().any(|seen| seen.url == daemon.url));
        let mut answered = false;
        self.stock.begin(at_ms);
        for seen in sample.daemons {
            let index = self.daemon(&seen.url);
            let daemon = &mut self.daemons[index];
            match seen.told {
                Told::Failed(reason) => {
                    if daemon.fail(at_ms, &reason) {
                        self.log.watched(at_ms, Severity::Warning, daemon, format!("does not answer: {reason}"));
                    }
                }
                Told::Stats(mut stats) => {
                    answered = true;
                    let events = std::mem::take(&mut stats.events);
                    let skus = stats.api.as_mut().map(|api| std::mem::take(&mut api.skus));
                    if let (Some(skus), Some(api)) = (skus, &stats.api) {
                        self.stock.see(skus, api.sku_count);
                    }
                    let was_silent = daemon.failed.is_some() && daemon.last.is_some();
                    let news = daemon.answer(at_ms, seen.took_ms, *stats, &mut self.totals);
                    if news.restarted {
                        self.log.watched(at_ms, Severity::Warning, daemon, "is a new process".to_owned());
                    } else if was_silent {
                        self.log.watched(at_ms, Severity::Info, daemon, "answers again".to_owned());
                    }
                    self.log.take(daemon, events, news.restarted);
                }
            }
        }
        if answered {
            self.answered_at_ms = Some(at_ms);
            self.stock.end();
            self.totals.mark(at_ms);
        }
        if let Some(flow) = self.flow() {
            let all = self.daemons.iter().all(|daemon| daemon.flow.is_some());
            let p99_us = self.totals.last_step().won.quantile_us(0.99);
            self.history.push(Point::new(at_ms, span_ms, flow, p99_us, !all));
        }
        self.sampled_at_ms = Some(at_ms);
    }

    /// Rates of all daemons whose rates are known; `None` if none is.
    pub(crate) fn flow(&self) -> Option<Flow> {
        self.daemons.iter().filter_map(|daemon| daemon.flow).reduce(Flow::plus)
    }

    /// Daemons that answered the last poll.
    pub(crate) fn answering(&self) -> impl Iterator<Item = &Daemon> {
        self.daemons.iter().filter(|daemon| daemon.failed.is_none() && daemon.last.is_some())
    }

    /// All of them, as a judge wants to know them.
    pub(crate) fn known(&self) -> Vec<Known<'_>> {
        self.daemons.iter().map(Daemon::known).collect()
    }

    /// Whether any daemon has ever answered.
    pub(crate) fn knows_anything(&self) -> bool {
        self.answered_at_ms.is_some()
    }

    fn daemon(&mut self, url: &str) -> usize {
        self.daemons.iter().position(|daemon| daemon.url == url).unwrap_or_else(|| {
            self.daemons.push(Daemon::new(url));
            self.daemons.len() - 1
        })
    }
}

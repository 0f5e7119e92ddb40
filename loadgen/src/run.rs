//! Starting a run, looking at it, ending it.
//!
//! Owns the load threads. A [`Run`] is a handle: [`Run::snapshot`] never waits, [`Run::stop`] asks for an
//! early end with a valid result, [`Run::join`] waits for the end and merges the books.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::LoadError;
use crate::conn::Connection;
use crate::plan::Plan;
use crate::report::{Host, Pacing, Report};
use crate::shared::{EndReason, Pulse, Shared};
use crate::stock;
use crate::tally::{Conflict, Doubt, Ending, Tally, Told};
use crate::target::Target;
use crate::worker::run_thread;

/// How long the first connection may take, at each address.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// The numbers of a run while it goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Time since the start.
    pub elapsed_ms: u64,
    /// Planned length.
    pub duration_ms: u64,
    /// Who decides when a purchase begins.
    pub pacing: Pacing,
    /// Which stage of the plan it is, from 0; [`Run::stage_words`] describes it.
    pub stage: usize,
    /// How many stages there are.
    pub stages: usize,
    /// Buyers at work: in a closed loop those who exist, in an open one the connections that wait for an answer.
    pub buyers: u64,
    /// Open loop: arrivals in the whole schedule.
    pub planned: u64,
    /// Open loop: arrivals whose time has come.
    pub due: u64,
    /// Purchases begun.
    pub started: u64,
    /// Open loop: arrivals of the schedule that were begun; `due - served` buyers wait for a free connection.
    pub served: u64,
    /// Open loop: the generator's own longest lag so far.
    pub lag_max_us: u64,
    /// Open loop: arrivals that the generator itself saw too late.
    pub late: u64,
    /// Units available by the catalogue's last answer, if it was asked and told.
    pub stock: Option<u64>,
    /// Requests sent.
    pub requests: u64,
    /// Purchases accepted.
    pub wins: u64,
    /// Sold-out answers.
    pub sold_out: u64,
    /// Other refusals.
    pub refusals: u64,
    /// Errors.
    pub errors: u64,
    /// Failed connects.
    pub connect_failures: u64,
    /// 99th percentile of wins so far, of the slowest thread.
    pub win_p99_us: u64,
    /// 99th percentile of sold-out answers so far, of the slowest thread.
    pub sold_out_p99_us: u64,
    /// True once everything is sold out.
    pub all_sold_out: bool,
}

/// Everything a finished run left behind.
#[derive(Debug, Clone)]
pub struct Finished {
    /// What was measured.
    pub report: Report,
    /// Every purchase that was answered 200, once per key.
    pub told: Vec<Told>,
    /// Every purchase that was in doubt and not answered 200 in the end.
    pub doubts: Vec<Doubt>,
    /// Every key that got two answers.
    pub conflicts: Vec<Conflict>,
    /// Every order that its buyer wanted to pay or to cancel.
    pub endings: Vec<Ending>,
}

/// A running load test.
#[derive(Debug)]
pub struct Run {
    shared: Arc<Shared>,
    started_at_ms: u64,
    threads: Vec<JoinHandle<Result<(Tally, EndReason), LoadError>>>,
    watcher: Option<JoinHandle<()>>,
    /// When each stage begins, and what it is.
    stages: Vec<(u64, String)>,
    host: Host,
}

/// Stops a run from anywhere, for signal handlers.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// Asks for an early end: no new purchases, those under way are settled.
    pub fn stop(&self) {
        self.0.stop();
    }
}

/// Checks the plan and the target, then starts the load threads. Blocks for one connect, so not to be called from async code.
pub fn start(plan: Plan) -> Result<Run, LoadError> {
    plan.check()?;
    let mut target = Target::resolve(&plan.target, plan.allow_remote.as_deref())?;
    let probe = Connection::open_first(&target.addresses, PROBE_TIMEOUT);
    let (_, address) = stock::runtime()?
        .block_on(probe)
        .map_err(|source| LoadError::Unreachable { target: plan.target.clone(), source })?;
    // One address for the whole run: what is measured is one listener.
    target.addresses = vec![address];
    let prices = if plan.buyers.pay_share > 0.0 { stock::prices(&plan, &target)? } else { Vec::new() };
    // 53 bits: a seed must survive a JSON reader that knows only doubles.
    let seed = plan.seed.unwrap_or_else(|| rand::random::<u64>() >> 11);
    let threads = plan.threads;
    let shared = Arc::new(Shared::new(plan, target, seed, prices)?);
    let started_at_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut run = Run {
        shared: Arc::clone(&shared),
        started_at_ms: u64::try_from(started_at_ms).unwrap_or(u64::MAX),
        threads: Vec::with_capacity(threads),
        watcher: None,
        stages: shared.plan.stages_in_words(),
        host: Host::look(),
    };
    for thread in 0..threads {
        let shared = Arc::clone(&shared);
        let handle = std::thread::Builder::new()
            .name(format!("load-{thread}"))
            .spawn(move || run_thread(&shared, thread))
            .map_err(|e| LoadError::Internal(format!("cannot start a load thread: {e}")))?;
        run.threads.push(handle);
    }
    if shared.plan.watch_stock {
        run.watcher = Some(stock::watch(&shared)?);
    }
    Ok(run)
}

impl Run {
    /// The numbers at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let pulses = &self.shared.pulses;
        let sum = |of: fn(&Pulse) -> &AtomicU64| pulses.iter().map(|pulse| of(pulse).load(Relaxed)).sum();
        let max = |of: fn(&Pulse) -> &AtomicU64| pulses.iter().map(|pulse| of(pulse).load(Relaxed)).max();
        let now_us = self.shared.now_us();
        let begun = self.stages.partition_point(|(begin_ms, _)| *begin_ms <= now_us / 1_000);
        Snapshot {
            pacing: self.shared.plan.pacing(),
            stage: begun.saturating_sub(1),
            stages: self.stages.len(),
            planned: self.shared.roster.times_us.len() as u64,
            due: self.shared.roster.due_at(now_us),
            started: sum(|pulse| &pulse.started),
            served: sum(|pulse| &pulse.served),
            lag_max_us: max(|pulse| &pulse.lag_max_us).unwrap_or(0),
            late: sum(|pulse| &pulse.late),
            stock: stock::latest(&self.shared),
            elapsed_ms: now_us / 1_000,
            duration_ms: self.shared.plan.duration_ms(),
            buyers: sum(|pulse| &pulse.buyers),
            requests: sum(|pulse| &pulse.requests),
            wins: sum(|pulse| &pulse.wins),
            sold_out: sum(|pulse| &pulse.sold_out),
            refusals: sum(|pulse| &pulse.refusals),
            errors: sum(|pulse| &pulse.errors),
            connect_failures: sum(|pulse| &pulse.connect_failures),
            win_p99_us: max(|pulse| &pulse.win_p99_us).unwrap_or(0),
            sold_out_p99_us: max(|pulse| &pulse.sold_out_p99_us).unwrap_or(0),
            all_sold_out: self.shared.all_sold_out_at_us().is_some(),
        }
    }

    /// A stage of the plan in words, such as `500 users for 30 s`; empty beyond the last.
    #[must_use]
    pub fn stage_words(&self, stage: usize) -> String {
        self.stages.get(stage).map_or_else(String::new, |(_, words)| words.clone())
    }

    /// True once every load thread has ended; [`Self::join`] does not wait then.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// A handle that can end the run early.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.shared))
    }

    /// Asks for an early end.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// Waits for the end and draws up the result.
    pub fn join(mut self) -> Result<Finished, LoadError> {
        let mut merged: Option<(Tally, EndReason)> = None;
        for thread in std::mem::take(&mut self.threads) {
            let (tally, reason) =
                thread.join().map_err(|_| LoadError::Internal("a load thread panicked".to_owned()))??;
            match &mut merged {
                None => merged = Some((tally, reason)),
                Some((sum, _)) => sum.merge(tally)?,
            }
        }
        self.shared.watch_ended.store(true, Relaxed);
        if let Some(watcher) = self.watcher.take() {
            // One that panicked said so itself. Its looks are an addition: they are no reason to lose what buyers were told.
            let _ = watcher.join();
        }
        let (tally, reason) = merged.ok_or_else(|| LoadError::Internal("no load thread".to_owned()))?;
        let host = std::mem::take(&mut self.host);
        let report = Report { host, ..Report::new(&self.shared, &tally, self.started_at_ms, reason) };
        let Tally { told, doubts, conflicts, endings, .. } = tally;
        Ok(Finished { report, told, doubts, conflicts, endings })
    }
}

impl Drop for Run {
    /// A run that nobody waits for any more must not go on.
    fn drop(&mut self) {
        self.shared.stop();
        self.shared.watch_ended.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::SkuShare;

    #[test]
    fn a_run_outlives_its_watcher() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let plan = Plan {
            target: format!("http://{}", silent.local_addr().unwrap()),
            stages: vec!["100ms:1".parse().unwrap()],
            skus: vec![SkuShare { sku_id: 1, weight: 1 }],
            drain_ms: 50,
            watch_stock: false,
            ..Plan::default()
        };
        let mut run = start(plan).unwrap();
        run.watcher = Some(std::thread::spawn(|| panic!("the watcher's end, as the test wants it")));
        assert_eq!(run.join().unwrap().report.ended, EndReason::StagesDone);
    }
}

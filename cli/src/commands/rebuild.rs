//! `flashctl rebuild`: fills Redis anew by hand. Shows what that means, asks, does it.

mod view;

use std::{cell::RefCell, time::Duration};

use clap::Args;
use flash_core::{epoch::EpochState, ids::Epoch, settings::parse_duration_ms};
use flash_stores::mysql::lock::NamedLock;
use flashd::rebuild::{Plan, Progress as Step, Rebuild, RebuildError};

use super::setup::progress::Progress;
use crate::{
    args::Output,
    ask::Consent,
    exit::Exit,
    interrupt::Interrupt,
    report::Failure,
    servers::{ServerArgs, unreachable},
    terminal::Terminal,
};
use view::Filled;

const EXAMPLES: &str = "\
Examples:
  flashctl rebuild --dry-run       what is open, and how long selling would stop
  flashctl rebuild                 the same, then ask
  flashctl rebuild --yes           without asking, from a script or a runbook
  flashctl rebuild --wait 0s       give up at once if a worker is at it already";

/// Fill Redis anew from MySQL and the log, under a new stock epoch.
///
/// Workers do this by themselves when Redis has lost its data; by hand it is for a Redis that is suspected to be wrong.
/// Every SKU is closed, nothing is sold until the leases of the last epoch have ended and the stock has been written afresh,
/// and nothing that was told to a buyer is lost. Interrupting it leaves everything closed; a worker then starts again.
/// Exit code 3 if a SKU stays closed.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    consent: Consent,
    /// How long to wait for another coordinator, whole seconds.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    wait: Duration,
    #[command(flatten)]
    servers: ServerArgs,
}

/// The command: look, show, ask, do.
pub(crate) async fn command(args: RebuildArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let rebuild = Rebuild::connect(args.servers.parts()?).await.map_err(explain)?;
    let plan = rebuild.plan().await.map_err(explain)?;
    let text = terminal.output() == Output::Text;
    if text {
        view::lines(&plan).iter().try_for_each(|line| terminal.answer(line))?;
    } else if !args.consent.yes {
        // Whoever is asked must see what about.
        view::lines(&plan).iter().for_each(|line| terminal.talk(line));
    }
    if args.consent.dry_run {
        let told = if text { view::dry_run().to_owned() } else { view::json(&plan, None) };
        return terminal.answer(&told).map(|()| Exit::Ok);
    }
    if !args.consent.given(terminal, "flashctl rebuild --yes").await? {
        terminal.talk("nothing was changed");
        return Ok(Exit::Failed);
    }
    let lock = lock(&rebuild, args.wait, terminal).await?;
    if let Some(epoch) = opened_since(&rebuild, &plan).await? {
        lock.release().await;
        terminal.talk(&format!("epoch {epoch} was opened meanwhile by another coordinator; nothing more was done"));
        let filled = Filled { epoch, took: Duration::ZERO, blocked: Vec::new() };
        terminal.answer(&if text { format!("epoch {epoch} is open") } else { view::json(&plan, Some(&filled)) })?;
        return Ok(Exit::Ok);
    }
    let mut interrupt = Interrupt::listen()?;
    let filled = tokio::select! {
        biased;
        () = interrupt.requested() => None,
        filled = fill(&rebuild, &lock, terminal) => Some(filled),
    };
    lock.release().await;
    let Some(filled) = filled.transpose()? else {
        terminal.talk(
            "if it was announced already, nothing is open until another is finished: a worker starts one by itself",
        );
        return Ok(Exit::Interrupted);
    };
    terminal.answer(&if text { view::summary(&filled) } else { view::json(&plan, Some(&filled)) })?;
    Ok(if filled.blocked.is_empty() { Exit::Ok } else { Exit::Found })
}

fn duration(text: &str) -> Result<Duration, String> {
    let ms =
        parse_duration_ms(text).ok_or_else(|| "expected a duration with its unit, like 0s, 90s or 5m".to_owned())?;
    Ok(Duration::from_millis(ms))
}

/// Becomes the only coordinator, or says who is one already.
async fn lock(rebuild: &Rebuild, wait: Duration, terminal: &Terminal) -> Result<NamedLock, Failure> {
    if let Some(lock) = rebuild.lock(Duration::ZERO).await.map_err(explain)? {
        return Ok(lock);
    }
    let who = rebuild.lock_holder().await.map_err(explain)?;
    let who = who.map_or_else(|| "another coordinator".to_owned(), |host| format!("a coordinator on {host}"));
    terminal.talk(&format!("{who} is filling Redis; waiting for at most {} s", wait.as_secs()));
    match rebuild.lock(wait).await.map_err(explain)? {
        Some(lock) => Ok(lock),
        None => Err(Failure::new(Exit::Failed, anyhow::anyhow!("{who} is still filling Redis"))
            .hint("its step is in GET /stats of the workers: worker.rebuild.step; flashctl rebuild --wait 300s")),
    }
}

/// Whether somebody else has filled Redis since the plan was shown: then there is nothing to be done again.
async fn opened_since(rebuild: &Rebuild, plan: &Plan) -> Result<Option<Epoch>, Failure> {
    let latest = rebuild.latest_epoch().await.map_err(explain)?.filter(|record| record.state == EpochState::Open);
    let known =
        plan.latest.as_ref().filter(|record| record.state == EpochState::Open).map_or(Epoch(0), |record| record.epoch);
    Ok(latest.map(|record| record.epoch).filter(|epoch| *epoch > known))
}

async fn fill(rebuild: &Rebuild, lock: &NamedLock, terminal: &Terminal) -> Result<Filled, Failure> {
    let progress = Progress::new(*terminal);
    let blocked = RefCell::new(Vec::new());
    let began = std::time::Instant::now();
    let done = rebuild.run(|step| {
        progress.stock(&step);
        if let Step::Blocked { sku_id, reason } = step {
            blocked.borrow_mut().push((sku_id, reason));
        }
    });
    let done = Rebuild::under(lock, done).await;
    progress.done();
    let epoch = done.map_err(explain)?;
    Ok(Filled { epoch, took: began.elapsed(), blocked: blocked.into_inner() })
}

fn explain(error: RebuildError) -> Failure {
    match &error {
        _ if error.is_unreachable() => unreachable(error),
        RebuildError::NoTopic(_) => Failure::new(Exit::Failed, error).hint("flashctl setup"),
        RebuildError::Load { .. } | RebuildError::GivenUp(_) => Failure::new(Exit::Failed, error).hint(
            "Redis restarted or another coordinator was faster; a worker starts again, or flashctl rebuild --yes",
        ),
        _ => Failure::new(Exit::Failed, error),
    }
}

//! The wait for the projector, and the reading of what it wrote.
//!
//! Owns the rule that an order is called lost only after nothing has changed in MySQL for the whole patience. A
//! database that is away uses up patience like one in which nothing changes.

use std::future::Future;
use std::time::{Duration, Instant};

use flash_loadgen::Finished;
use flash_stores::mysql::{Db, MySqlError, audit};

use super::Verdict;
use super::judge::Judge;

/// Between two looks at MySQL.
const POLL: Duration = Duration::from_millis(250);
/// The count must stand still for this long before the rows are read.
const STILL: Duration = Duration::from_millis(700);
/// Orders read at once.
const PAGE_ROWS: u32 = 5_000;

/// How the wait goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settling {
    /// Orders that buyers were told.
    pub(crate) told: u64,
    /// Orders of this run's buyers in MySQL.
    pub(crate) in_mysql: u64,
}

/// Waits until MySQL has every told order, or nothing has changed for `patience`, or `cut` resolves; then judges.
pub(crate) async fn settle(
    db: &Db,
    finished: &Finished,
    patience: Duration,
    mut progress: impl FnMut(Settling),
    cut: impl Future<Output = ()>,
) -> Result<Verdict, MySqlError> {
    let started = Instant::now();
    let mut cut = std::pin::pin!(cut);
    let told = finished.told.len() as u64;
    let users = (finished.report.first_user_id, finished.report.last_user_id);
    let (mut in_mysql, mut changed, mut looked) = (0, Instant::now(), false);
    let settled = loop {
        let out_of_patience = changed.elapsed() >= patience;
        match audit::count_of_users(db, users.0, users.1).await {
            Ok(count) if count != in_mysql => (in_mysql, changed, looked) = (count, Instant::now(), false),
            Err(error) if !error.is_outage() || out_of_patience => return Err(error),
            _ => {}
        }
        progress(Settling { told, in_mysql });
        if in_mysql >= told && changed.elapsed() >= STILL && !looked {
            match read(db, finished).await {
                Ok(judge) if judge.missing() == 0 => break true,
                // Enough orders, but not ours: only a change is worth another look.
                Ok(_) => looked = true,
                Err(error) if error.is_outage() => {}
                Err(error) => return Err(error),
            }
        }
        if out_of_patience {
            break true;
        }
        tokio::select! {
            () = tokio::time::sleep(POLL) => {}
            () = &mut cut => break false,
        }
    };
    // Read at the very end, so that orders and stock belong together.
    let judge = read(db, finished).await?;
    let settled = settled || judge.missing() == 0;
    let sku_ids: Vec<u64> = finished.report.skus.iter().map(|sku| sku.sku_id).collect();
    let stock = audit::stock_of(db, &sku_ids).await?;
    Ok(judge.finish(&stock, settled, u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)))
}

/// Shows every order of the run's users to a judge.
async fn read<'a>(db: &Db, finished: &'a Finished) -> Result<Judge<'a>, MySqlError> {
    let mut judge = Judge::new(finished);
    let last_user = finished.report.last_user_id;
    let mut after = (finished.report.first_user_id, 0);
    loop {
        let page = audit::page_of_users(db, after, last_user, PAGE_ROWS).await?;
        page.iter().for_each(|row| judge.see(row));
        match page.last() {
            Some(last) => after = (last.user_id, last.order_id),
            None => return Ok(judge),
        }
    }
}

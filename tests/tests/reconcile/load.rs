//! No false positive, ever: the books are compared again and again while units are bought, paid, cancelled and expire.

use crate::{TURN, desk, kinds};
use flash_core::sale::Sku;
use flash_tests::PATIENCE;
use flash_tests::backends::Own;
use flash_tests::books::Exceptions;
use flash_tests::buyer::{Purchase, Said};
use flash_tests::cashier::{PRICE, Settled};
use flash_tests::daemon::Daemon;
use flash_tests::site::{AUDITED, Site, ticket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use tokio::task::JoinSet;

/// Runs while everything goes on, and runs around a rebuild.
const RUNS: usize = 25;

/// Buyers who buy and then pay, cancel, ask again, or let it expire, until they are told to stop.
struct Lives {
    stop: Arc<AtomicBool>,
    /// Paid, cancelled, left alone.
    ended: Arc<[AtomicU64; 3]>,
    tasks: JoinSet<()>,
}

impl Lives {
    fn start(site: &Site, daemons: &[&Daemon], width: u64) -> Self {
        let mut lives = Self { stop: Arc::default(), ended: Arc::default(), tasks: JoinSet::new() };
        for lane in 0..width {
            let (mut buyer, mut cashier) = (site.buyer(daemons), site.cashier(daemons));
            let (stop, ended) = (Arc::clone(&lives.stop), Arc::clone(&lives.ended));
            lives.tasks.spawn(async move {
                for life in 0_u64.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let user = 1 + lane * 1_000_000 + life;
                    let wish = Purchase {
                        quantity: 1 + u32::try_from(life % 2).unwrap(),
                        ..Purchase::new(user, 1 + life % 2, "k")
                    };
                    let Said::Won(told) = buyer.insist(&wish).await else { continue };
                    let amount = u64::from(wish.quantity) * PRICE;
                    let how = match life % 4 {
                        0 => {
                            let paid = cashier.insist_pay(told.order_id, &format!("p-{}", told.order_id), amount).await;
                            usize::from(!matches!(paid, Settled::Confirmed { .. })) * 2
                        }
                        1 => {
                            let _ = cashier.insist_cancel(told.order_id).await;
                            1
                        }
                        2 => {
                            let _ = buyer.insist(&wish).await;
                            2
                        }
                        _ => 2,
                    };
                    ended[how].fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        lives
    }

    async fn stop(self) -> [u64; 3] {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.tasks.join_all().await;
        [0, 1, 2].map(|how| self.ended[how].load(Ordering::Relaxed))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_found_while_everything_goes_on() {
    let _turn = TURN.lock().await;
    let short = Sku { hold_ms: 2_000, ..ticket(1, 40) };
    let site = Site::open(Own::default(), &[short, ticket(2, 1_000_000), ticket(3, 10)]).await;
    let (a, b) = (site.daemon_with("all", &AUDITED).await, site.daemon_with("all", &AUDITED).await);
    let lives = Lives::start(&site, &[&a, &b], 24);
    let reconcile = desk(&site).await;
    let (mut before, mut moved, mut first) = (0, 0, flash_core::ids::Epoch(0));
    for run in 0..RUNS {
        let report = reconcile.run(None, |_| {}).await.unwrap();
        assert_eq!(kinds(&report), [], "run {run}: {:#?}", report.findings);
        let seq: u64 = report.skus.iter().filter_map(|row| row.redis).map(|redis| redis.seq).sum();
        moved += usize::from(seq > before);
        before = seq;
        first = report.epoch;
    }
    assert!(moved > RUNS - 3, "the sale stood still: {moved} of {RUNS} runs saw it move");
    // A rebuild under a run makes it start again; it never shows as a difference.
    let running = async {
        let started = Instant::now();
        let mut newest = first;
        while newest == first {
            let report = reconcile.run(None, |_| {}).await.unwrap();
            assert_eq!(kinds(&report), [], "around a rebuild: {:#?}", report.findings);
            newest = report.epoch;
            assert!(started.elapsed() < 2 * PATIENCE, "the new epoch was never seen");
        }
    };
    let (_, ()) = tokio::join!(site.rebuild(), running);
    let [paid, cancelled, left] = lives.stop().await;
    assert!(paid > 0 && cancelled > 0 && left > 0, "{paid} paid, {cancelled} cancelled, {left} left");
    site.finish_except(&[&a, &b], Exceptions { rebuilt: true, ..Exceptions::default() }).await;
}

//! Many buyers at once: a crowd that asks once each, and a rush that goes on until it is stopped.

use crate::buyer::{Buyer, Purchase, Said};
use crate::daemon::Daemon;
use crate::site::Site;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// How often each word was said.
pub type Tally = BTreeMap<String, u64>;

/// Sends all purchases at the same time, each over its own connection, spread over the daemons; gives back what was said, in
/// the order of the purchases. With `insist`, every buyer asks until the answer is final.
pub async fn crowd(site: &Site, daemons: &[&Daemon], purchases: Vec<Purchase>, insist: bool) -> Vec<Said> {
    let mut tasks = JoinSet::new();
    for (index, purchase) in purchases.into_iter().enumerate() {
        let mut order = daemons.to_vec();
        order.rotate_left(index % daemons.len());
        let mut buyer = site.buyer(&order);
        tasks.spawn(async move {
            let said = if insist { buyer.insist(&purchase).await } else { buyer.buy(&purchase).await };
            (index, said)
        });
    }
    let mut said = tasks.join_all().await;
    said.sort_by_key(|(index, _)| *index);
    said.into_iter().map(|(_, said)| said).collect()
}

/// Counts what was said.
#[must_use]
pub fn tally(said: &[Said]) -> Tally {
    let mut tally = Tally::new();
    for said in said {
        *tally.entry(said.word()).or_default() += 1;
    }
    tally
}

/// Buyers that come one after the other, each a new user who wants one unit and insists on a final answer, until the rush
/// is stopped.
#[derive(Debug)]
pub struct Rush {
    stop: Arc<AtomicBool>,
    wins: Arc<AtomicU64>,
    words: Arc<Mutex<Tally>>,
    tasks: JoinSet<()>,
}

impl Rush {
    /// `width` buyers at a time, each pausing between purchases so that the load stays small.
    #[must_use]
    pub fn start(site: &Site, daemons: &[&Daemon], sku_id: u64, width: u64) -> Self {
        /// Some 25 purchases per second and buyer.
        const PAUSE: Duration = Duration::from_millis(40);
        let (stop, wins, words) = (Arc::default(), Arc::<AtomicU64>::default(), Arc::<Mutex<Tally>>::default());
        // Every SKU has buyers of its own: one buyer's key belongs to one SKU.
        let users = Arc::new(AtomicU64::new(sku_id * 1_000_000));
        let mut rush = Self { stop, wins, words, tasks: JoinSet::new() };
        for index in 0..width {
            let mut order = daemons.to_vec();
            order.rotate_left(usize::try_from(index).unwrap() % daemons.len());
            let mut buyer = site.buyer(&order);
            let (stop, wins, words, users) =
                (Arc::clone(&rush.stop), Arc::clone(&rush.wins), Arc::clone(&rush.words), Arc::clone(&users));
            rush.tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let user_id = users.fetch_add(1, Ordering::Relaxed);
                    let purchase = Purchase::new(user_id, sku_id, format!("rush-{user_id}"));
                    insist(&mut buyer, &purchase, &wins, &words).await;
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        rush
    }

    /// Purchases won so far.
    #[must_use]
    pub fn wins(&self) -> u64 {
        self.wins.load(Ordering::Relaxed)
    }

    /// How often each word was said so far, retries included.
    #[must_use]
    pub fn words(&self) -> Tally {
        self.words.lock().unwrap().clone()
    }

    /// Waits until so many more purchases are won.
    pub async fn more_wins(&self, more: u64) {
        let from = self.wins();
        crate::eventually(&format!("{more} more wins"), || async { self.wins() >= from + more }).await;
    }

    /// Waits until a word has been said once more.
    pub async fn hear(&self, word: &str) {
        let count = || self.words().get(word).copied().unwrap_or(0);
        let from = count();
        crate::eventually(&format!("somebody to be told {word}"), || async { count() > from }).await;
    }

    /// Lets everybody finish the purchase they are at, and gives back what was said.
    pub async fn stop(mut self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap();
        }
        self.words()
    }
}

async fn insist(buyer: &mut Buyer, purchase: &Purchase, wins: &AtomicU64, words: &Mutex<Tally>) {
    let started = std::time::Instant::now();
    loop {
        let said = buyer.buy(purchase).await;
        *words.lock().unwrap().entry(said.word()).or_default() += 1;
        if matches!(said, Said::Won(_)) {
            wins.fetch_add(1, Ordering::Relaxed);
        }
        if !said.is_open() {
            return;
        }
        assert!(started.elapsed() < crate::PATIENCE, "no final answer for {purchase:?}: {said:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

//! The rules of the protocol, each of which a test can switch off to see the world break.

use crate::rng::Rng;

/// Which rules hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Events of an older epoch behind a newer fence do not count.
    pub(crate) void: bool,
    /// Nothing is told, and no fence appended, unless leases allow it.
    pub(crate) lease: bool,
    /// Scripts look at the server's replication id.
    pub(crate) replid: bool,
    /// Scripts look at where the stock was filled.
    pub(crate) home: bool,
    /// Scripts look at the epoch of the stock.
    pub(crate) epoch: bool,
    /// A settlement is finished only by whoever holds its token.
    pub(crate) token: bool,
    /// Tokens of different epochs differ.
    pub(crate) unique_token: bool,
    /// Units go back on sale only after the log has acknowledged it.
    pub(crate) log_first: bool,
    /// The loader is guarded.
    pub(crate) loader: bool,
    /// The stock is counted only when the projection has passed the fences.
    pub(crate) projected: bool,
    /// Only the very first epoch need not wait for leases; without: whoever has seen no older one.
    pub(crate) first: bool,
    /// Units go back on sale only while the lease still covers the epoch, as if it were told to a buyer.
    pub(crate) release_lease: bool,
    /// A settlement is finished under the epoch it was begun in; without: under whichever the daemon knows by then.
    pub(crate) same_epoch: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        void: true,
        lease: true,
        replid: true,
        home: true,
        epoch: true,
        token: true,
        unique_token: true,
        log_first: true,
        loader: true,
        projected: true,
        first: true,
        release_lease: true,
        same_epoch: true,
    };
}

/// The shape of a world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) rules: Rules,
    /// Partitions of the log.
    pub(crate) partitions: usize,
    /// `None`: they differ from seed to seed.
    pub(crate) rates: Option<Rates>,
}

impl Shape {
    pub(crate) const NORMAL: Self = Self { rules: Rules::ALL, partitions: 2, rates: None };
}

/// How often things happen, per thousand steps. Worlds differ, so that calm ones get far and wild ones get into trouble.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) faults: u64,
    pub(crate) sweeps: u64,
    /// Arrivals of events at the log: the fewer, the later they come.
    pub(crate) deliveries: u64,
    pub(crate) replications: u64,
    pub(crate) coordination: u64,
    /// Appends of a coordinator that go wrong, per hundred.
    pub(crate) bad_appends: u64,
}

impl Rates {
    pub(crate) fn of(rng: &mut Rng) -> Self {
        let mut one_of = |choices: &[u64]| choices[rng.below(choices.len())];
        Self {
            faults: one_of(&[3, 6, 12, 25]),
            sweeps: one_of(&[40, 100, 160]),
            deliveries: one_of(&[70, 120, 200]),
            replications: one_of(&[10, 50]),
            coordination: one_of(&[100, 150, 250]),
            bad_appends: one_of(&[1, 4, 12]),
        }
    }
}

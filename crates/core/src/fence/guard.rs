//! What a script may do on the server it runs on, with what it finds there.
//!
//! `lua/fence.lua`, `lua/close.lua` and `lua/load.lua` follow these rules inside Redis; the stock model calls them, and the
//! gate's tests hold the scripts against the model.

use crate::ids::Epoch;
use std::collections::BTreeSet;
use std::fmt;

/// Replication ids that an epoch was opened with: one per primary.
pub type Replids = BTreeSet<String>;

/// What the epoch field of a SKU's stock hash says. Only [`Mark::Open`] equals anybody's epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// May be decided under this epoch.
    Open(Epoch),
    /// Taken off sale by a coordinator that announced this epoch.
    Closed(Epoch),
    /// Being filled under this epoch.
    Loading(Epoch),
    /// Left closed when this epoch was opened.
    Blocked(Epoch),
}

impl Mark {
    /// Reads the field; `None` if it is nothing that a script writes.
    #[must_use]
    pub fn parse(field: &str) -> Option<Self> {
        let (kind, number) = field.split_once(':').unwrap_or(("", field));
        let epoch = Epoch(number.parse().ok()?);
        match kind {
            "" if !field.contains(':') => Some(Self::Open(epoch)),
            "closed" => Some(Self::Closed(epoch)),
            "loading" => Some(Self::Loading(epoch)),
            "blocked" => Some(Self::Blocked(epoch)),
            _ => None,
        }
    }

    /// The epoch it speaks of.
    #[must_use]
    pub const fn epoch(self) -> Epoch {
        match self {
            Self::Open(epoch) | Self::Closed(epoch) | Self::Loading(epoch) | Self::Blocked(epoch) => epoch,
        }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(epoch) => epoch.fmt(f),
            Self::Closed(epoch) => write!(f, "closed:{epoch}"),
            Self::Loading(epoch) => write!(f, "loading:{epoch}"),
            Self::Blocked(epoch) => write!(f, "blocked:{epoch}"),
        }
    }
}

/// What a server says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It takes writes.
    Primary,
    /// It follows another.
    Replica,
}

/// The server a script runs on, as the script sees it.
#[derive(Debug, Clone, Copy)]
pub struct Server<'a> {
    /// What it says it is.
    pub role: Role,
    /// Its replication id: another one after every restart, promotion and fail-back.
    pub replid: &'a str,
}

/// Why nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fenced {
    /// There is no stock.
    Missing,
    /// The stock belongs to another epoch, or is not open.
    Epoch(Mark),
    /// The server is no primary.
    Role,
    /// The server is not one the epoch was opened with.
    Replid(String),
    /// The stock was filled on another server, or nobody knows where: it was carried here.
    Home(Option<String>),
}

/// Why a coordinator may not write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The server is no primary.
    Role,
    /// The server is not one that was noted.
    Replid(String),
    /// A higher epoch (to close: the same one, too) owns the SKU.
    Newer(Mark),
    /// Somebody else began to fill the SKU, or it was emptied meanwhile.
    Mark(Option<Mark>),
    /// A SKU that was never loaded is there.
    Exists(Mark),
}

/// Whether anything may be decided: the stock carries exactly this epoch, on a primary that the epoch was opened with, and was
/// filled there.
///
/// # Errors
/// [`Fenced`].
pub fn admits(
    server: Server<'_>,
    mark: Option<Mark>,
    home: Option<&str>,
    epoch: Epoch,
    replids: &Replids,
) -> Result<(), Fenced> {
    match mark {
        None => return Err(Fenced::Missing),
        Some(Mark::Open(found)) if found == epoch => {}
        Some(other) => return Err(Fenced::Epoch(other)),
    }
    if server.role != Role::Primary {
        return Err(Fenced::Role);
    }
    if !replids.contains(server.replid) {
        return Err(Fenced::Replid(server.replid.to_owned()));
    }
    if home == Some(server.replid) { Ok(()) } else { Err(Fenced::Home(home.map(str::to_owned))) }
}

/// Whether a coordinator may take a SKU off sale: only from a lower epoch. No stock needs no closing.
///
/// # Errors
/// [`Refused::Newer`].
pub fn may_close(mark: Option<Mark>, epoch: Epoch) -> Result<(), Refused> {
    match mark {
        Some(found) if found.epoch() >= epoch => Err(Refused::Newer(found)),
        _ => Ok(()),
    }
}

/// Whether a coordinator may write at all: only on a primary it has noted.
///
/// # Errors
/// [`Refused`].
pub fn may_write(server: Server<'_>, replids: &Replids) -> Result<(), Refused> {
    if server.role != Role::Primary {
        return Err(Refused::Role);
    }
    if replids.contains(server.replid) { Ok(()) } else { Err(Refused::Replid(server.replid.to_owned())) }
}

/// Whether a coordinator may empty a SKU, to fill it or to leave it closed: not if a higher epoch owns it.
///
/// # Errors
/// [`Refused::Newer`].
pub fn may_begin(mark: Option<Mark>, epoch: Epoch) -> Result<(), Refused> {
    match mark {
        Some(found) if found.epoch() > epoch => Err(Refused::Newer(found)),
        _ => Ok(()),
    }
}

/// Whether a coordinator may go on filling what it has begun.
///
/// # Errors
/// [`Refused::Mark`].
pub fn may_go_on(mark: Option<Mark>, epoch: Epoch) -> Result<(), Refused> {
    if mark == Some(Mark::Loading(epoch)) { Ok(()) } else { Err(Refused::Mark(mark)) }
}

/// Whether a SKU that was never loaded may be put on sale: only where nothing is.
///
/// # Errors
/// [`Refused::Exists`].
pub fn may_create(mark: Option<Mark>) -> Result<(), Refused> {
    mark.map_or(Ok(()), |found| Err(Refused::Exists(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_the_stock_hash_and_nothing_else_is_one() {
        let epoch = Epoch(12);
        for mark in [Mark::Open(epoch), Mark::Closed(epoch), Mark::Loading(epoch), Mark::Blocked(epoch)] {
            assert_eq!(Mark::parse(&mark.to_string()), Some(mark));
        }
        for field in ["", ":12", "12:", "open:12", "closed:", "closed:x", "closed:1:2", "-1"] {
            assert_eq!(Mark::parse(field), None, "{field:?}");
        }
    }
}

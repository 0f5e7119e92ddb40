//! Which shop.

use std::{fmt, str::FromStr};

/// How a shop sells. See the crate's description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// MySQL alone: read the stock, write one less.
    ReadThenWrite,
    /// MySQL alone, the row of the stock locked meanwhile.
    RowLock,
    /// Redis counts, MySQL has the orders before the answer.
    RedisThenMysql,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::ReadThenWrite, Self::RowLock, Self::RedisThenMysql];

    /// The name on command lines and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadThenWrite => "mysql",
            Self::RowLock => "mysql-lock",
            Self::RedisThenMysql => "redis-mysql",
        }
    }

    /// The database of this shop: each has tables of its own.
    pub(crate) const fn database(self) -> &'static str {
        match self {
            Self::ReadThenWrite => "naive_mysql",
            Self::RowLock => "naive_mysql_lock",
            Self::RedisThenMysql => "naive_redis_mysql",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == text);
        kind.ok_or_else(|| "a shop is mysql, mysql-lock or redis-mysql".to_owned())
    }
}

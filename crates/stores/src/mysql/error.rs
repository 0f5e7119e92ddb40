//! What can go wrong with the database, sorted by what the caller should do about it.

use sqlx::mysql::MySqlDatabaseError;

/// An error of the database, already classified.
#[derive(Debug, thiserror::Error)]
pub enum MySqlError {
    /// The database is away, busy, or not (yet) as it should be: the same call may succeed later. Retry for as long as
    /// it takes; nothing is wrong with the data.
    #[error("MySQL does not serve right now: {0}")]
    Outage(sqlx::Error),
    /// The database refused this very data. Repeating the call cannot help.
    #[error("MySQL refused the data: {0}")]
    Data(sqlx::Error),
    /// A compare-and-set on a projector offset found another value: somebody else has advanced the partition.
    #[error("somebody else has advanced a partition of this batch")]
    Moved,
    /// A row holds something this program never writes.
    #[error("MySQL holds a value this program does not know: {0}")]
    Foreign(String),
}

impl From<sqlx::Error> for MySqlError {
    fn from(error: sqlx::Error) -> Self {
        if is_outage(&error) { Self::Outage(error) } else { Self::Data(error) }
    }
}

impl MySqlError {
    /// Whether waiting and repeating the call is the right answer.
    #[must_use]
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::Outage(_))
    }
}

/// Whether an error says "not now" rather than "not this".
///
/// When in doubt the answer is "not now": a wrong "not now" delays a batch and shows as lag, a wrong "not this" would
/// park good orders in the dead letters.
#[must_use]
pub fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            database.try_downcast_ref::<MySqlDatabaseError>().is_none_or(|error| is_outage_number(error.number()))
        }
        // Rows that are missing or do not decode are about data; everything else happened on the way to the server.
        sqlx::Error::RowNotFound
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_) => false,
        _ => true,
    }
}

/// Server error numbers that a later attempt can get past. The numbers are shared by MySQL and MariaDB.
const fn is_outage_number(number: u16) -> bool {
    matches!(
        number,
        // Locks: time-out, deadlock, metadata lock, lock table full.
        1205 | 1213 | 1206 | 3058
        // The server is full, starting, stopping, or was told to stop this connection or query.
        | 1040 | 1203 | 1226 | 1053 | 1077..=1080 | 1152 | 1158..=1161 | 1184 | 1317 | 1927 | 1969 | 3024 | 3168 | 3169
        // Client-side numbers for a lost server, in case a proxy passes them on.
        | 2002 | 2003 | 2006 | 2013 | 2055
        // Read-only: a failover is going on.
        | 1290 | 1792 | 1836
        // Disk or memory of the server.
        | 1021 | 1037 | 1038 | 1041 | 1114 | 1030 | 1031 | 1194 | 1195 | 1205..=1207
        // Group replication and Galera: not (yet) a member, conflicting commit.
        | 1047 | 3098 | 3100 | 3101
        // Not migrated yet, wrong rights, changed schema: a human has to act, and the data is innocent.
        | 1044 | 1045 | 1046 | 1049 | 1142 | 1143 | 1054 | 1146 | 1227 | 1370 | 1820 | 1862
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_the_server_is_never_the_datas_fault() {
        assert!(is_outage(&sqlx::Error::PoolTimedOut));
        assert!(is_outage(&sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into())));
        assert!(is_outage(&sqlx::Error::Protocol("cut".into())));
        assert!(!is_outage(&sqlx::Error::RowNotFound));
        for number in [1205, 1213, 1290, 1040, 1053, 1146] {
            assert!(is_outage_number(number), "{number}");
        }
        // Out of range, too long, wrong value, duplicate, foreign key, SIGNAL.
        for number in [1264, 1406, 1366, 1062, 1452, 1644, 1048, 1364] {
            assert!(!is_outage_number(number), "{number}");
        }
    }
}

//! How to reach the database. Values only: where they come from (flags, environment, file) is the caller's business.

use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use std::fmt;

/// Address, credentials and pool size.
#[derive(Clone, PartialEq, Eq)]
pub struct MySqlSettings {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name.
    pub user: String,
    /// Password; empty for none.
    pub password: String,
    /// Database (schema) name.
    pub database: String,
    /// Most connections of this process.
    pub connections_max: u32,
}

impl Default for MySqlSettings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 3306,
            user: "flashuser".into(),
            password: String::new(),
            database: "flash_sale".into(),
            connections_max: 8,
        }
    }
}

impl MySqlSettings {
    /// Options for a connection that is not in any database, for creating ours.
    pub(super) fn server_options(&self) -> MySqlConnectOptions {
        let options = MySqlConnectOptions::new()
            .host(&self.host)
            .port(self.port)
            .username(&self.user)
            .ssl_mode(MySqlSslMode::Disabled)
            .charset("utf8mb4");
        if self.password.is_empty() { options } else { options.password(&self.password) }
    }

    pub(super) fn connect_options(&self) -> MySqlConnectOptions {
        self.server_options().database(&self.database)
    }
}

/// Everything but the password.
impl fmt::Debug for MySqlSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mysql://{}@{}:{}/{}", self.user, self.host, self.port, self.database)
    }
}

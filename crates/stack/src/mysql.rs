//! MariaDB or MySQL with a data directory of its own, strict SQL and UTC – the same settings for both, so that
//! a statement that passes here passes on the other.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{ProcessSpec, StackError, probe::Probe, program, server::Recipe};

/// How to log in; the names are those of the seed's environment variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MysqlLogin {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User; on a server of ours it may create databases.
    pub user: String,
    /// Password.
    pub password: String,
    /// Database.
    pub database: String,
}

impl MysqlLogin {
    /// The login of a server of ours.
    pub(crate) fn of_ours(port: u16) -> Self {
        MysqlLogin {
            host: "127.0.0.1".to_owned(),
            port,
            user: "flashuser".to_owned(),
            password: "flashpass".to_owned(),
            database: "flash_sale".to_owned(),
        }
    }
}

/// Executed at every start, before the first login is accepted; therefore written to be repeatable. The user is
/// bound to 127.0.0.1, which is the only way in.
const INIT_SQL: &str = "\
CREATE DATABASE IF NOT EXISTS flash_sale CHARACTER SET utf8mb4;
CREATE USER IF NOT EXISTS 'flashuser'@'127.0.0.1' IDENTIFIED BY 'flashpass';
GRANT ALL PRIVILEGES ON *.* TO 'flashuser'@'127.0.0.1';
";

/// MySQL 8's default. MariaDB's own default lacks some of it, and would accept what MySQL refuses.
const SQL_MODE: &str = "--sql-mode=ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,\
ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";

pub(crate) struct MysqlRecipe {
    pub(crate) dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavour {
    MariaDb,
    MySql,
}

impl Recipe for MysqlRecipe {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn prepare(&self, ports: &[u16]) -> Result<ProcessSpec, StackError> {
        let program = program::MYSQLD.find()?;
        let flavour = flavour(&program)?;
        // The server changes its working directory, so a relative path would point elsewhere.
        let dir = std::path::absolute(&self.dir).map_err(StackError::io("resolving the data directory"))?;
        let data = dir.join("data");
        fs::create_dir_all(dir.join("tmp")).map_err(StackError::io("making a directory for temporary tables"))?;
        if !data.exists() {
            initialise(&program, flavour, &dir, &data)?;
        }
        let init_file = dir.join("init.sql");
        fs::write(&init_file, INIT_SQL).map_err(StackError::io(format!("writing {}", init_file.display())))?;
        Ok(ProcessSpec::new(self.name(), program).args(arguments(flavour, &dir, &data, &init_file, ports[0])))
    }

    fn probe(&self) -> Probe {
        Probe::Mysql
    }

    fn patience(&self) -> Duration {
        // After a kill -9 it recovers its log first, and the machine may be busy.
        Duration::from_secs(60)
    }

    fn url(&self, address: &str) -> String {
        let login = MysqlLogin::of_ours(0);
        format!("mysql://{}:{}@{address}/{}", login.user, login.password, login.database)
    }

    fn keeps_data(&self) -> bool {
        true
    }
}

/// A server that starts removes what looks like forgotten temporary tables, also those of another server in the same directory.
fn tmpdir(dir: &Path) -> String {
    format!("--tmpdir={}", dir.join("tmp").display())
}

fn arguments(flavour: Flavour, dir: &Path, data: &Path, init_file: &Path, port: u16) -> Vec<String> {
    let mut args = vec![
        // Must come first; keeps the machine's own server configuration out.
        "--no-defaults".to_owned(),
        format!("--datadir={}", data.display()),
        tmpdir(dir),
        format!("--init-file={}", init_file.display()),
        format!("--port={port}"),
    ];
    args.extend(
        [
            "--bind-address=127.0.0.1",
            // Relative to the data directory: an absolute path may exceed the 107 bytes of a socket address.
            "--socket=mysql.sock",
            "--pid-file=mysql.pid",
            "--skip-name-resolve",
            "--default-time-zone=+00:00",
            SQL_MODE,
            "--character-set-server=utf8mb4",
            "--skip-log-bin",
            // A commit is a commit: the figures of this project are those of durable writes.
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=256M",
            "--performance-schema=OFF",
            // Many tests at once, each with a pool; the table cache would else ask for more files than many systems allow.
            "--max-connections=500",
            "--table-open-cache=400",
        ]
        .map(str::to_owned),
    );
    let of_flavour: &[&str] = match flavour {
        // The first says nothing about connections that only look whether somebody is home.
        Flavour::MariaDb => &["--log-warnings=1", "--innodb-log-file-size=64M"],
        Flavour::MySql => &["--mysqlx=OFF", "--innodb-redo-log-capacity=64M"],
    };
    args.extend(of_flavour.iter().map(|arg| (*arg).to_owned()));
    args.extend(run_as());
    args
}

/// As root both refuse to start unless told to run as root.
fn run_as() -> Option<String> {
    rustix::process::geteuid().is_root().then(|| "--user=root".to_owned())
}

fn flavour(program: &Path) -> Result<Flavour, StackError> {
    let said = program::run(program, ["--version"])?;
    Ok(if said.contains("MariaDB") { Flavour::MariaDb } else { Flavour::MySql })
}

/// Creates the data directory under another name and renames it when complete: a killed initialisation is never
/// taken for a finished one.
fn initialise(program: &Path, flavour: Flavour, dir: &Path, data: &Path) -> Result<(), StackError> {
    let unfinished = dir.join("data.unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(StackError::io("removing a half-made data directory"))?;
    }
    let (datadir, tmpdir) = (format!("--datadir={}", unfinished.display()), tmpdir(dir));
    match flavour {
        Flavour::MariaDb => {
            let args = [
                "--no-defaults".to_owned(),
                datadir,
                tmpdir,
                // `normal` instead of unix_socket, so that root can be reached by whoever owns the directory.
                "--auth-root-authentication-method=normal".to_owned(),
                "--skip-test-db".to_owned(),
                "--innodb-log-file-size=64M".to_owned(),
            ];
            program::run(&program::MARIADB_INSTALL_DB.find()?, args.into_iter().chain(run_as()))?;
        }
        Flavour::MySql => {
            let args = ["--no-defaults".to_owned(), "--initialize-insecure".to_owned(), datadir, tmpdir];
            program::run(program, args.into_iter().chain(run_as()))?;
        }
    }
    fs::rename(&unfinished, data).map_err(StackError::io("finishing the data directory"))
}

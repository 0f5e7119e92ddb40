//! Finding the programs of the servers, and saying what to install when one is missing.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::StackError;

/// A program as we look for it: an environment variable that overrides, then names in order of preference.
pub(crate) struct Wanted {
    pub(crate) variable: &'static str,
    pub(crate) names: &'static [&'static str],
    pub(crate) install: &'static str,
}

pub(crate) const REDIS: Wanted = Wanted {
    variable: "REDIS_SERVER_BIN",
    names: &["redis-server", "valkey-server"],
    install: "install Redis 7 or later (Debian: apt-get install redis-server), or give --redis URL",
};

pub(crate) const MYSQLD: Wanted = Wanted {
    variable: "MYSQLD_BIN",
    names: &["mariadbd", "mysqld"],
    install: "install MariaDB 10.11 or MySQL 8.4 or later (Debian: apt-get install mariadb-server), or give --mysql URL",
};

pub(crate) const MARIADB_INSTALL_DB: Wanted = Wanted {
    variable: "MARIADB_INSTALL_DB_BIN",
    names: &["mariadb-install-db", "mysql_install_db"],
    install: "install MariaDB's server package complete (Debian: apt-get install mariadb-server)",
};

pub(crate) const TANSU: Wanted = Wanted {
    variable: "TANSU_BIN",
    names: &["tansu"],
    install: "run scripts/install-tansu (cargo, about 6 minutes once), or give --kafka HOST:PORT",
};

pub(crate) const JAVA: Wanted = Wanted {
    variable: "JAVA_BIN",
    names: &["java"],
    install: "install Java 17 or later (Debian: apt-get install openjdk-17-jre-headless), or choose --kafka tansu",
};

impl Wanted {
    /// The program's path, or the one line that says what to install.
    pub(crate) fn find(&self) -> Result<PathBuf, StackError> {
        if let Some(path) = env::var_os(self.variable).filter(|value| !value.is_empty()) {
            let path = PathBuf::from(path);
            return if is_program(&path) {
                Ok(path)
            } else {
                Err(self.missing(format!("{} (from {})", path.display(), self.variable)))
            };
        }
        let directories = directories();
        self.names
            .iter()
            .flat_map(|name| directories.iter().map(move |directory| directory.join(name)))
            .find(|path| is_program(path))
            .ok_or_else(|| self.missing(self.names[0].to_owned()))
    }

    fn missing(&self, program: String) -> StackError {
        StackError::Missing { program, install: self.install.to_owned() }
    }
}

/// Where the project's own tools are kept: outside the clone, so that a fresh clone finds them.
pub(crate) fn tools_dir() -> Option<PathBuf> {
    let given = env::var_os("FLASH_TOOLS").filter(|value| !value.is_empty()).map(PathBuf::from);
    given.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache/flash-tools")))
}

fn directories() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    tools_dir()
        .map(|tools| tools.join("bin"))
        .into_iter()
        .chain(env::split_paths(&path))
        // Servers live here on many systems, and a user's PATH often leaves these out.
        .chain(["/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from))
        .collect()
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Runs a short program to its end and gives back what it said. Blocking.
pub(crate) fn run(program: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<String, StackError> {
    let doing = format!("running {}", program.display());
    let output = Command::new(program).args(args).output().map_err(StackError::io(&doing))?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        return Ok(text);
    }
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    Err(StackError::Exited {
        server: program.display().to_string(),
        exit: output.status.to_string(),
        lines: lines[lines.len().saturating_sub(20)..].to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_says_what_to_install_in_one_line() {
        let wanted = Wanted { variable: "FLASH_NO_SUCH_VARIABLE", names: &["no-such-server"], install: "install it" };
        let message = wanted.find().unwrap_err().to_string();
        assert_eq!(message, "no-such-server not found: install it");
    }
}

//! Who is at the terminal, and why: what the journal of changes wants to know.

use clap::Args;
use flash_stores::mysql::author::Author;

use crate::{exit::Exit, report::Failure};

/// The flags of a change.
#[derive(Debug, Clone, Args)]
pub(crate) struct AuthorArgs {
    /// The reason, kept in the journal with the change.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Who does it. Unless given, $USER@host.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
}

impl AuthorArgs {
    /// The author of the change.
    pub(crate) fn author(&self) -> Result<Author, Failure> {
        author(self.who.clone(), &self.why)
    }
}

/// Whoever is named, or whoever is at the terminal, for this reason.
pub(crate) fn author(who: Option<String>, why: &str) -> Result<Author, Failure> {
    Author::new(&who.unwrap_or_else(name), why)
        .map_err(|error| Failure::new(Exit::Usage, error).hint("--why \"what made it necessary\""))
}

/// `$USER@host`.
pub(crate) fn name() -> String {
    let user = std::env::var("USER").ok().filter(|user| !user.trim().is_empty());
    let user = user.unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()));
    let host = rustix::system::uname();
    let name = format!("{}@{}", user.trim(), host.nodename().to_string_lossy());
    // A name too long for the journal says enough by its beginning.
    name.chars().filter(|c| !c.is_control()).take(flash_stores::mysql::author::WHO_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_somebody() {
        let args = AuthorArgs { why: "more seats".into(), who: None };
        assert!(args.author().is_ok());
        assert!(name().contains('@'));
        let args = AuthorArgs { why: " ".into(), who: None };
        assert!(args.author().is_err());
    }
}

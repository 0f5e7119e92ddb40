//! Asking before something is changed, and who is asked.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use clap::Args;
use flashd::dead_letters::{By, WHO_MAX_CHARS, WHY_MAX_CHARS};

use crate::{exit::Exit, report::Failure, terminal::Terminal};

/// Whether to ask at all.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Consent {
    /// Show the plan and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub(crate) yes: bool,
}

impl Consent {
    /// Asks if nobody has said yes; the default is no. Without somebody to ask it is a usage error, and `hint` is what to
    /// type instead.
    pub(crate) async fn given(self, terminal: &Terminal, hint: &str) -> Result<bool, Failure> {
        if self.yes {
            return Ok(true);
        }
        if !io::stdin().is_terminal() {
            let failure = Failure::new(Exit::Usage, anyhow::anyhow!("stdin is not a terminal, so nobody can be asked"));
            return Err(failure.hint(hint));
        }
        _ = write!(io::stderr().lock(), "{} [y/N] ", terminal.cyan("do this?"));
        let read = tokio::task::spawn_blocking(|| {
            let mut answer = String::new();
            io::stdin().read_line(&mut answer).map(|_| answer)
        });
        let answer = read.await.map_err(Failure::from_error)?.map_err(Failure::from_error)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }
}

/// Who acts and why, checked against what can be recorded.
pub(crate) fn by(who: Option<String>, why: String) -> Result<By, Failure> {
    let named = |name| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let who = who.or_else(|| ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(named));
    let by = By { who: who.unwrap_or_else(|| "unknown".to_owned()), why };
    for (flag, text, most) in [("--who", &by.who, WHO_MAX_CHARS), ("--why", &by.why, WHY_MAX_CHARS)] {
        if text.trim().is_empty() || text.chars().count() > most {
            return Err(Failure::new(Exit::Usage, anyhow::anyhow!("{flag}: must be 1 to {most} characters")));
        }
    }
    Ok(by)
}

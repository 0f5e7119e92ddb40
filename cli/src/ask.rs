//! Asking before something is changed.

use std::io::{self, IsTerminal, Write};

use clap::Args;

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

//! `flashctl status`: is everything well, part by part, as the daemons see it.
//!
//! Looks once and changes nothing. What it says of Redis, Kafka and MySQL is what the daemons say of them; `flashctl doctor` asks
//! them itself.

mod view;

use std::time::Duration;

use clap::Args;

use crate::{
    args::Output,
    exit::Exit,
    live::{
        discover::{Roster, WatchedArgs},
        figures::Tracker,
        judge::Level,
        poll::Poller,
    },
    report::{Failure, ended},
    terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl status                               every daemon that says in MySQL that it runs
  flashctl status --admin 10.0.0.7:3900         this one
  flashctl status -o json                       for programs
  flashctl status || flashctl doctor            exit code 3: something was found; 4: a part is down";

/// How long a daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Most SKUs whose stock is added up.
const SKUS_MAX: usize = 10_000;

/// Whether everything is well: daemons, Redis, Kafka, MySQL, epoch, lag, rebuild, findings, stock.
///
/// Exit code 0: all is well, or as somebody ordered it; 3: something was found – by the auditor, in the dead letters, SKUs that
/// could not be filled, or nothing can be bought because of a pause; 4: a part is down, or no daemon answers.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    watched: WatchedArgs,
}

/// The command.
pub(crate) async fn command(args: StatusArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let roster = Roster::find(&args.watched).await?;
    let sample = Poller::new(roster, SKUS_MAX).look(PATIENCE).await;
    let status = view::Status::of(&sample, Tracker::default().judged(&sample));
    let told = match terminal.output() {
        Output::Text => view::text(&status, terminal),
        Output::Json => terminal.answer(&view::json(&status).to_string()),
    };
    let exit = match status.judgement.worst() {
        Level::Ok | Level::Unknown | Level::Noted => Exit::Ok,
        Level::Found | Level::Broken => Exit::Found,
        Level::Down => Exit::Unreachable,
    };
    ended(told, exit)
}

//! One file per command. To add one: its module here, its variant in [`crate::args::Command`], its line below.

pub(crate) mod chaos;
pub(crate) mod compare;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod dlq;
pub(crate) mod doctor;
pub(crate) mod loadtest;
pub(crate) mod manual;
pub(crate) mod payments;
pub(crate) mod rebuild;
pub(crate) mod reconcile;
pub(crate) mod sale;
pub(crate) mod setup;
pub(crate) mod sku;
pub(crate) mod status;
pub(crate) mod top;
pub(crate) mod up;
pub(crate) mod why;

use crate::{args::Command, exit::Exit, report::Failure, terminal::Terminal};

/// Runs the command that was asked for.
pub(crate) async fn run(command: Command, terminal: &Terminal) -> Result<Exit, Failure> {
    match command {
        Command::Top(args) => top::command(*args, terminal).await,
        Command::Status(args) => status::command(args, terminal).await,
        Command::Up(args) => up::run(args, terminal).await,
        Command::Setup(args) => setup::command(args, terminal).await,
        Command::Sku(args) => sku::command(args, terminal).await,
        Command::Sale(args) => sale::command(args, terminal).await,
        Command::Chaos(args) => chaos::command(args, terminal).await,
        Command::Daemon(args) => daemon::command(args, terminal).await,
        Command::Demo(args) => demo::command(args, terminal).await,
        Command::Loadtest(args) => loadtest::command(*args, terminal).await,
        Command::Compare(args) => compare::command(args, terminal).await,
        Command::Rebuild(args) => rebuild::command(args, terminal).await,
        Command::Payments(args) => payments::command(args, terminal).await,
        Command::Reconcile(args) => reconcile::command(args, terminal).await,
        Command::Dlq(args) => dlq::command(args, terminal).await,
        Command::Doctor(args) => doctor::command(args, terminal).await,
        Command::Why(args) => why::command(args, terminal).await,
        Command::Man(args) => manual::man(&args, terminal),
        Command::Completions(args) => manual::completions(&args, terminal),
    }
}

//! `flashctl doctor`: is this deployment as the promises need it, and what would it lose in which failure?
//!
//! Looks and changes nothing, prints no secret, and goes on with the other parts when one cannot be reached.

mod facts;
mod finding;
mod judge;
mod losses;
mod read;
mod view;

use clap::Args;

use self::{
    facts::Facts,
    finding::{Finding, Level},
};
use crate::{
    args::Output,
    exit::Exit,
    live::discover::from_environment,
    report::{Failure, ended},
    servers::ServerArgs,
    terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl doctor                                  every check, and what would be lost when
  flashctl doctor --strict                         warnings count, too: exit code 3
  flashctl doctor --admin 10.0.0.7:3900 --admin 10.0.0.8:3900
  flashctl doctor -o json";

/// Check the deployment, and say what it would lose in which failure.
///
/// Versions, Redis policy, Kafka copies and topic shapes, MySQL durability and isolation, schema, epoch, stock, node ids,
/// clocks, lag, dead letters, daemons. Exit code 0: nothing is bad; 3: something is; 4: a part could not be reached, so that
/// not everything is known – what the others show is shown.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct DoctorArgs {
    /// Warnings count as bad.
    #[arg(long)]
    strict: bool,
    /// Admin listeners of daemons, HOST:PORT or URL. Unless given, those of FLASH_ADMIN_URL, separated by commas.
    #[arg(long = "admin", value_name = "ADDRESS")]
    admins: Vec<String>,
    #[command(flatten)]
    servers: ServerArgs,
}

/// The command.
pub(crate) async fn command(args: DoctorArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let config = args.servers.config()?;
    let admins = if args.admins.is_empty() { from_environment() } else { args.admins };
    let facts = read::read(&config, &admins).await;
    let (findings, losses) = (judge::judge(&facts), losses::losses(&facts));
    let told = match terminal.output() {
        Output::Text => view::text(&findings, &losses, terminal),
        Output::Json => terminal.answer(&view::json(&findings, &losses).to_string()),
    };
    ended(told, exit(&facts, &findings, args.strict))
}

/// A server that is away is said first: nobody knows what else is wrong with it. What could not be asked because something
/// is missing on a server that answers is that server's own finding.
fn exit(facts: &Facts, findings: &[Finding], strict: bool) -> Exit {
    let any = |level| findings.iter().any(|finding| finding.level == level);
    let servers_away = facts.redis.is_err() || facts.kafka.is_err() || facts.mysql.is_err();
    let away = servers_away || facts.daemons.iter().any(|daemon| daemon.said.is_err());
    let bad = any(Level::Bad) || (strict && any(Level::Warn));
    match (away, bad, any(Level::NotAsked)) {
        (true, ..) | (false, false, true) => Exit::Unreachable,
        (false, true, _) => Exit::Found,
        (false, false, false) => Exit::Ok,
    }
}

//! `flashctl daemon`: the running daemons, and commanding them one by one.

mod standing;
mod verb;
mod view;

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};

use crate::{
    args::Output,
    ask::Consent,
    exit::Exit,
    live::{
        Sample, Told,
        discover::{Roster, WatchedArgs},
        poll::Poller,
    },
    report::Failure,
    terminal::Terminal,
};
use verb::Verb;

/// How long a daemon may take to tell about itself.
const PATIENCE: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Examples:
  flashctl daemon list
  flashctl daemon pause --why \"its clock is wrong\"
  flashctl daemon resume
  flashctl daemon drain --exit --admin http://10.0.0.7:3900
  flashctl daemon log-filter info,flashd=debug --all";

const LIST_EXAMPLES: &str = "\
Examples:
  flashctl daemon list
  flashctl daemon list --admin 10.0.0.7:3900 -o json";

const PAUSE_EXAMPLES: &str = "\
Examples:
  flashctl daemon pause --why \"its clock is wrong\" --dry-run
  flashctl daemon pause --why \"its clock is wrong\" --admin http://10.0.0.7:3900
  flashctl daemon pause --why \"load test of the others\" --all --yes";

const RESUME_EXAMPLES: &str = "\
Examples:
  flashctl daemon resume
  flashctl daemon resume --all --yes";

const DRAIN_EXAMPLES: &str = "\
Examples:
  flashctl daemon drain --admin http://10.0.0.7:3900
  flashctl daemon drain --exit --admin http://10.0.0.7:3900 --yes";

const LOG_FILTER_EXAMPLES: &str = "\
Examples:
  flashctl daemon log-filter                            what is logged now
  flashctl daemon log-filter info,flashd=debug --all    more of it, until the next start";

/// See the running daemons, and command them.
///
/// They are found by --admin or FLASH_ADMIN_URL, else by what they say in MySQL. Whoever commands one needs its token:
/// FLASH_ADMIN_TOKEN, as `flashctl up -o json` prints it, or admin.token in --config. It is sent to this machine and to those that
/// you name with --admin, FLASH_ADMIN_URL or --allow-remote, and to no other that MySQL names. What is commanded lasts until the daemon
/// ends; to pause a SKU or the whole sale, on all daemons and for good, use `flashctl sale pause`.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct DaemonArgs {
    #[command(subcommand)]
    command: DaemonCommand,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum DaemonCommand {
    /// Which daemons run, and how they are.
    ///
    /// Exit code 4 if one of them does not answer.
    #[command(before_help = LIST_EXAMPLES)]
    List(WatchedArgs),
    /// Sell nothing through a daemon for the moment.
    ///
    /// Its buyers are told that the sale is paused, and to come back. Orders can still be paid and cancelled.
    #[command(before_help = PAUSE_EXAMPLES)]
    Pause {
        /// The reason, shown by `flashctl top`.
        #[arg(long, value_name = "TEXT")]
        why: String,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Put a daemon back into service: ends a pause and a drain.
    #[command(before_help = RESUME_EXAMPLES)]
    Resume {
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Take a daemon out of service.
    ///
    /// It stops being ready, so that a load balancer sends it nobody, and tells purchases that it is too busy; what was begun
    /// ends as it would have.
    #[command(before_help = DRAIN_EXAMPLES)]
    Drain {
        /// End its process too, as SIGTERM would.
        #[arg(long)]
        exit: bool,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Show or change what a daemon logs.
    #[command(before_help = LOG_FILTER_EXAMPLES)]
    LogFilter {
        /// Levels, also by module: info or info,flashd=debug. Without it, what it is now.
        filter: Option<String>,
        #[command(flatten)]
        target: TargetArgs,
    },
}

/// Which daemons, and whether to ask.
#[derive(Debug, Args)]
struct TargetArgs {
    /// All daemons that are found, if there are several and none is named.
    #[arg(long)]
    all: bool,
    /// Send the token to this machine too, though only the table in MySQL names it; several times for several.
    #[arg(long, value_name = "HOST")]
    allow_remote: Vec<String>,
    #[command(flatten)]
    watched: WatchedArgs,
    #[command(flatten)]
    consent: Consent,
}

/// The command.
pub(crate) async fn command(args: DaemonArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (verb, target) = match args.command {
        DaemonCommand::List(watched) => return list(&watched, terminal).await,
        DaemonCommand::LogFilter { filter: None, target } => return log_filters(&target.watched, terminal).await,
        DaemonCommand::LogFilter { filter: Some(filter), target } => (Verb::LogFilter { filter }, target),
        DaemonCommand::Pause { why, target } => (Verb::Pause { why }, target),
        DaemonCommand::Resume { target } => (Verb::Resume, target),
        DaemonCommand::Drain { exit, target } => (Verb::Drain { exit }, target),
    };
    verb.check().map_err(|why| Failure::new(Exit::Usage, anyhow::anyhow!(why)))?;
    let sample = look(&target.watched).await?;
    if sample.daemons.len() > 1 && !target.all && !target.watched.are_named() {
        let failure = anyhow::anyhow!("{} daemons run, and it is not said which one", sample.daemons.len());
        return Err(Failure::new(Exit::Usage, failure)
            .hint("flashctl daemon list shows them; --admin URL names one, --all means all of them"));
    }
    let plan = verb::plan(&verb, &sample);
    // Who names a daemon trusts it; any row in MySQL may name any machine.
    let strangers = if target.watched.are_named() { Vec::new() } else { verb::strangers(&plan, &target.allow_remote) };
    if let Some(host) = strangers.first() {
        let error = anyhow::anyhow!(
            "the admin token would be sent to {}, which only the table in MySQL names",
            strangers.join(", ")
        );
        return Err(Failure::new(Exit::Usage, error)
            .hint(format!("--allow-remote {host} or --admin URL, if that machine is yours")));
    }
    let text = terminal.output() == Output::Text;
    if text || !target.consent.yes {
        view::plan(&verb, &plan).iter().for_each(|line| terminal.talk(line));
    }
    let token = target.watched.config()?.admin.token;
    if target.consent.dry_run {
        if token.is_none() {
            terminal.talk("without --dry-run it would be refused: no admin token is set");
        }
        let told = if text { "nothing was changed".to_owned() } else { view::dry_run(&verb, &plan) };
        return terminal.answer(&told).map(|()| Exit::Ok);
    }
    let token = token.ok_or_else(|| {
        Failure::new(Exit::Usage, anyhow::anyhow!("commanding a daemon needs its admin token"))
            .hint("FLASH_ADMIN_TOKEN=… flashctl daemon …; flashctl up -o json prints the token of its daemon under env")
    })?;
    if !target.consent.given(terminal, &format!("flashctl daemon {} … --yes", verb.name())).await? {
        terminal.talk("nothing was changed");
        return Ok(Exit::Failed);
    }
    let done = verb::run(&verb, plan, &token).await;
    if text {
        view::done(&verb, &done).iter().try_for_each(|line| terminal.answer(line))?;
    } else {
        terminal.answer(&view::done_json(&verb, &done))?;
    }
    Ok(verb::exit(&done))
}

async fn look(watched: &WatchedArgs) -> Result<Sample, Failure> {
    let mut roster = Roster::find(watched).await?;
    // MySQL goes on being read behind a roster; this is one look only.
    let urls: Vec<String> = roster.entries(Instant::now()).iter().map(|entry| entry.url.clone()).collect();
    let roster = Roster::named(&urls.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(Poller::new(roster, 0).look(PATIENCE).await)
}

async fn list(watched: &WatchedArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let sample = look(watched).await?;
    match terminal.output() {
        Output::Text => view::list(&sample).iter().try_for_each(|line| terminal.answer(line))?,
        Output::Json => terminal.answer(&view::list_json(&sample))?,
    }
    Ok(answered(&sample))
}

async fn log_filters(watched: &WatchedArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let sample = look(watched).await?;
    match terminal.output() {
        Output::Text => view::filters(&sample).iter().try_for_each(|line| terminal.answer(line))?,
        Output::Json => terminal.answer(&view::list_json(&sample))?,
    }
    Ok(answered(&sample))
}

fn answered(sample: &Sample) -> Exit {
    let failed = sample.daemons.iter().any(|seen| matches!(seen.told, Told::Failed(_)));
    if failed { Exit::Unreachable } else { Exit::Ok }
}

//! `flashctl dlq`: the dead letters – events that could not be applied to MySQL and wait for a human.

mod give_up;
mod list;
mod plan;
mod progress;
mod replay;
mod show;
mod view;

use std::str::FromStr;

use clap::{Args, Subcommand};
use flashd::{
    dead_letters::{DeadLetterError, Desk, Letter, Origin},
    projector::ProjectorOptions,
};

use crate::{
    exit::Exit,
    report::Failure,
    servers::{self, ServerArgs},
    terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl dlq list                               what waits, and why
  flashctl dlq show 3/1207                        one letter whole: partition/offset of order-events
  flashctl dlq replay --all --dry-run             what a replay would do
  flashctl dlq drop 3/1207 --why 'a test order'   it will not be applied";

/// Events that could not be applied: look, replay, give up.
///
/// The projector parks what MySQL refuses or what is no event, and goes on. Once the cause is repaired, a replay applies
/// the event to MySQL at the place in the log it came from. Nothing is ever applied twice.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct DlqArgs {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Replay(replay::ReplayArgs),
    Drop(give_up::DropArgs),
}

/// The command.
pub(crate) async fn command(args: DlqArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    match args.command {
        DlqCommand::List(args) => list::command(args, terminal).await,
        DlqCommand::Show(args) => show::command(args, terminal).await,
        DlqCommand::Replay(args) => replay::command(args, terminal).await,
        DlqCommand::Drop(args) => give_up::command(args, terminal).await,
    }
}

/// A letter as it is named on the command line: `TOPIC/PARTITION/OFFSET`, or without the topic for order-events.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OriginArg {
    topic: Option<String>,
    partition: i32,
    offset: u64,
}

impl FromStr for OriginArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "must be PARTITION/OFFSET or TOPIC/PARTITION/OFFSET, as flashctl dlq list shows it".to_owned();
        let mut parts = text.rsplitn(3, '/');
        let offset = parts.next().and_then(|part| part.parse().ok()).ok_or_else(wrong)?;
        let partition: i32 = parts.next().and_then(|part| part.parse().ok()).ok_or_else(wrong)?;
        let topic = parts.next().map(str::to_owned);
        let legal = partition >= 0 && topic.as_ref().is_none_or(|topic| !topic.is_empty() && !topic.contains('/'));
        if legal { Ok(Self { topic, partition, offset }) } else { Err(wrong()) }
    }
}

impl OriginArg {
    fn resolve(&self, desk: &Desk) -> Origin {
        let topic = self.topic.clone().unwrap_or_else(|| desk.events_topic());
        Origin { topic, partition: self.partition, offset: self.offset }
    }
}

fn desk(servers: &ServerArgs) -> Result<Desk, Failure> {
    let config = servers.config()?;
    Ok(Desk::open(&ProjectorOptions { kafka: config.kafka, mysql: config.mysql }))
}

/// The letters with these names, each once, in log order; one that does not exist is a failure.
async fn find(desk: &Desk, names: &[OriginArg]) -> Result<Vec<Letter>, Failure> {
    let origins: Vec<Origin> = names.iter().map(|name| name.resolve(desk)).collect();
    let wanted = origins.clone();
    let shelf = desk.letters(move |origin, _| wanted.contains(origin)).await.map_err(explain)?;
    let missing = origins.iter().find(|origin| !shelf.letters.iter().any(|letter| letter.origin() == **origin));
    match missing {
        Some(origin) => Err(Failure::message(format!("there is no dead letter {origin}"))
            .hint("flashctl dlq list --status all shows what there is")),
        None => Ok(shelf.letters),
    }
}

/// Exit code and hint of an error.
fn explain(error: DeadLetterError) -> Failure {
    match &error {
        DeadLetterError::NoTopic(_) => Failure::message(error.to_string()).hint("flashctl setup creates the topics"),
        _ if error.is_unreachable() => servers::unreachable(error),
        _ => Failure::from_error(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_named_by_its_place_in_the_log() {
        let named = |topic: Option<&str>| OriginArg { topic: topic.map(str::to_owned), partition: 3, offset: 1207 };
        assert_eq!("3/1207".parse(), Ok(named(None)));
        assert_eq!("t1.order-events/3/1207".parse(), Ok(named(Some("t1.order-events"))));
        for bad in ["", "3", "3/", "/3", "-1/2", "3/-1", "/3/1207", "a/b/3/1207", "order-events/3", "3/x"] {
            assert!(bad.parse::<OriginArg>().is_err(), "{bad}");
        }
    }
}

//! `flashctl dlq list`.

use clap::{Args, ValueEnum};
use flashd::dead_letters::{LetterStatus, Shelf};

use super::{desk, explain, view};
use crate::{
    args::Output,
    exit::Exit,
    report::Failure,
    servers::ServerArgs,
    table::{self, Align},
    terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl dlq list                      what waits
  flashctl dlq list --status all         and what was replayed or dropped
  flashctl dlq list -o json --limit 10";

/// List dead letters, in the order of the log.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct ListArgs {
    /// Which letters.
    #[arg(long, value_enum, default_value_t = Wanted::Waiting)]
    status: Wanted,
    /// Most letters to show.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    servers: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wanted {
    /// Somebody has to look at it.
    Waiting,
    /// Applied to MySQL, or recorded as void.
    Replayed,
    /// Given up.
    Dropped,
    /// All of them.
    All,
}

impl Wanted {
    fn lets_through(self, status: LetterStatus) -> bool {
        match self {
            Wanted::Waiting => status == LetterStatus::Waiting,
            Wanted::Replayed => status == LetterStatus::Replayed,
            Wanted::Dropped => status == LetterStatus::Dropped,
            Wanted::All => true,
        }
    }
}

/// The command.
pub(super) async fn command(args: ListArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let desk = desk(&args.servers)?;
    let wanted = args.status;
    let mut shelf = desk.letters(move |_, status| wanted.lets_through(status)).await.map_err(explain)?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let hidden = shelf.letters.len().saturating_sub(limit) as u64 + shelf.left_out;
    shelf.letters.truncate(limit);
    match terminal.output() {
        Output::Text => text(&shelf, hidden, terminal)?,
        Output::Json => terminal.answer(&json(&shelf, hidden))?,
    }
    if shelf.unreadable > 0 {
        terminal.talk(&format!("{} records of the topic are no letters and are left out", shelf.unreadable));
    }
    Ok(Exit::Ok)
}

fn text(shelf: &Shelf, hidden: u64, terminal: &Terminal) -> Result<(), Failure> {
    if !shelf.letters.is_empty() {
        let headings = [
            ("ORIGIN", Align::Left),
            ("STATUS", Align::Left),
            ("REPLAYS", Align::Right),
            ("PARKED", Align::Left),
            ("EVENT", Align::Left),
            ("ERROR", Align::Left),
        ];
        let rows: Vec<Vec<String>> = shelf.letters.iter().map(|letter| view::row(letter).to_vec()).collect();
        for line in table::lines(&headings, &rows) {
            terminal.answer(&line)?;
        }
    }
    if hidden > 0 {
        terminal.answer(&format!("… and {hidden} more (--limit)"))?;
    }
    let count = |status| shelf.counts.get(&status).copied().unwrap_or(0);
    let counts = LetterStatus::ALL.map(|status| format!("{} {}", count(status), view::word(status)));
    terminal.answer(&counts.join(" · "))
}

fn json(shelf: &Shelf, hidden: u64) -> String {
    let counts: serde_json::Map<_, _> = LetterStatus::ALL
        .map(|status| (view::word(status), shelf.counts.get(&status).copied().unwrap_or(0).into()))
        .into_iter()
        .collect();
    serde_json::json!({
        "version": view::VERSION,
        "counts": counts,
        "leftOut": hidden,
        "unreadable": shelf.unreadable,
        "letters": shelf.letters.iter().map(view::json).collect::<Vec<_>>(),
    })
    .to_string()
}

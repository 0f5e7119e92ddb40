//! `flashctl dlq show`: one letter whole.

use clap::Args;
use flashd::dead_letters::Letter;
use serde_json::Value;

use super::{OriginArg, desk, find, view};
use crate::{
    args::Output,
    exit::Exit,
    plain::{harmless, utc},
    report::Failure,
    servers::ServerArgs,
    terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl dlq show 3/1207
  flashctl dlq show order-events/3/1207 -o json";

/// Show one dead letter: its payload, the event in it, the error, and what was done about it.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct ShowArgs {
    /// The letter: PARTITION/OFFSET of order-events, or TOPIC/PARTITION/OFFSET.
    #[arg(value_name = "ORIGIN")]
    origin: OriginArg,
    #[command(flatten)]
    servers: ServerArgs,
}

/// The command.
pub(super) async fn command(args: ShowArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let desk = desk(&args.servers)?;
    for letter in find(&desk, &[args.origin]).await? {
        match terminal.output() {
            Output::Text => text(&letter, terminal)?,
            Output::Json => terminal.answer(&json(&letter).to_string())?,
        }
    }
    Ok(Exit::Ok)
}

fn text(letter: &Letter, terminal: &Terminal) -> Result<(), Failure> {
    let parked = &letter.parked;
    let mut lines = vec![
        ("origin", letter.origin().to_string()),
        ("status", view::word(letter.status())),
        ("replays", letter.attempts().to_string()),
        ("parked", parked_at(letter)),
        ("record of", utc(parked.timestamp_ms)),
        ("behind fence", parked.fence_epoch.to_string()),
        ("error", parked.error.clone()),
    ];
    if let Some(standing) = &letter.standing {
        if !standing.last_error.is_empty() {
            lines.push(("last error", standing.last_error.clone()));
        }
        lines.push(("last action", format!("{} by {}: {}", utc(standing.updated_at_ms), standing.who, standing.why)));
    }
    lines.push(match letter.event() {
        Ok(event) => ("event", format!("{}, decided under epoch {}", view::about(letter), event.epoch)),
        Err(error) => ("event", format!("unreadable: {error}")),
    });
    match (&parked.payload_text, &parked.payload_hex) {
        (Some(text), _) => lines.push(("payload", text.clone())),
        (None, hex) => lines.push(("payload, hex", hex.clone().unwrap_or_default())),
    }
    lines.iter().try_for_each(|(name, value)| terminal.answer(&format!("{name:<13} {}", harmless(value))))
}

fn parked_at(letter: &Letter) -> String {
    let at = utc(letter.parked.parked_at_ms);
    if letter.copies > 1 { format!("{at}, for the {}. time", letter.copies) } else { at }
}

fn json(letter: &Letter) -> Value {
    let parked = &letter.parked;
    let mut whole = view::json(letter);
    whole["version"] = view::VERSION.into();
    whole["payloadText"] = parked.payload_text.clone().into();
    whole["payloadHex"] = parked.payload_hex.clone().into();
    let event = letter.event();
    whole["unreadable"] = event.as_ref().err().cloned().into();
    // An event that decodes is JSON, so its own words are its best description.
    let words = parked.payload_text.as_deref().filter(|_| event.is_ok());
    whole["decoded"] = words.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    whole
}

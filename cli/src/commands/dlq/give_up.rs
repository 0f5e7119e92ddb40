//! `flashctl dlq drop`: shows what will be given up, asks, does it.

use clap::Args;
use flashd::dead_letters::LetterStatus;
use serde_json::json;

use super::{OriginArg, desk, explain, find, plan, view};
use crate::{
    args::Output, ask::Consent, exit::Exit, operator, report::Failure, servers::ServerArgs, terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl dlq drop 3/1207 --why 'a test order'
  flashctl dlq drop 3/1207 3/1208 --why 'INC-7: torn by hand' --yes";

/// Give dead letters up: they will not be applied. The letters stay in the topic.
///
/// An order that a buyer was told and whose letter is dropped is lost, so say why.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(super) struct DropArgs {
    /// The letters: PARTITION/OFFSET of order-events, or TOPIC/PARTITION/OFFSET.
    #[arg(value_name = "ORIGIN", required = true)]
    origins: Vec<OriginArg>,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Who drops. Unless given, $USER@host.
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    servers: ServerArgs,
}

/// The command: look, show, ask, do.
pub(super) async fn command(args: DropArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let by = operator::author(args.who, &args.why)?;
    let desk = desk(&args.servers)?;
    let plan = plan::drop_all(find(&desk, &args.origins).await?);
    let text = terminal.output() == Output::Text;
    if text {
        plan::print(&plan, "drop", terminal)?;
    }
    let wanted = plan::size(&plan);
    let dry_run = args.consent.dry_run;
    if wanted > 0 && !dry_run && !args.consent.given(terminal, "flashctl dlq drop --yes …").await? {
        terminal.talk("nothing was changed");
        return Ok(Exit::Failed);
    }
    let mut dropped = Vec::new();
    for step in plan.iter().filter(|step| step.skipped.is_none() && !dry_run) {
        let standing = desk.drop_letter(&step.letter.origin(), &by).await.map_err(explain)?;
        if standing.status == LetterStatus::Dropped {
            dropped.push(step.letter.origin().to_string());
        }
    }
    let left = plan.len() - dropped.len();
    match (text, dry_run) {
        (true, true) => {
            let skipped = plan.len() - wanted;
            terminal.answer(&format!("dry run: {wanted} to drop, {skipped} skipped; nothing was done"))?;
        }
        (true, false) => terminal.answer(&format!("done: {} dropped, {left} left alone", dropped.len()))?,
        (false, _) => {
            let answer = json!({
                "version": view::VERSION, "dryRun": dry_run, "toDrop": wanted, "dropped": dropped, "leftAlone": left,
            });
            terminal.answer(&answer.to_string())?;
        }
    }
    Ok(if left > 0 && !dry_run { Exit::Failed } else { Exit::Ok })
}

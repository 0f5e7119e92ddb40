//! `flashctl sale`: opening, closing and pausing, one SKU or all of them.

use std::sync::Arc;

use clap::{Args, Subcommand};
use flash_core::ids::SkuId;
use flash_stores::mysql::author::Author;
use flashd::change::{ChangeError, Desk, Edit, Outcome};
use tokio::{sync::Semaphore, task::JoinSet};

use super::sku::desk;
use crate::{
    change_view::{self, Told},
    exit::Exit,
    operator::AuthorArgs,
    report::Failure,
    servers::ServerArgs,
    terminal::Terminal,
};

/// SKUs changed at the same time, each on a connection to MySQL of its own; they share the look at the epoch, which is what
/// takes long. MySQL serves 151 connections if nobody says otherwise.
const AT_ONCE: usize = 32;

const EXAMPLES: &str = "\
Examples:
  flashctl sale open 1 --why \"doors\"
  flashctl sale pause --all --why \"payment provider is down\"
  flashctl sale resume --all --why \"it is back\"
  flashctl sale close 1 --why \"cancelled\"";

const OPEN_EXAMPLES: &str = "\
Examples:
  flashctl sale open 1 --why \"doors\"
  flashctl sale open --all --why \"doors\"";

const CLOSE_EXAMPLES: &str = "\
Examples:
  flashctl sale close 1 --why \"cancelled\"
  flashctl sale close --all --why \"end of the day\"";

const PAUSE_EXAMPLES: &str = "\
Examples:
  flashctl sale pause 1 --why \"wrong price\"
  flashctl sale pause --all --why \"payment provider is down\"";

const RESUME_EXAMPLES: &str = "\
Examples:
  flashctl sale resume 1 --why \"price corrected\"
  flashctl sale resume --all --why \"payment provider is back\"";

/// Open, close, pause or resume a sale.
///
/// Takes effect with the next purchase that is decided. Orders that exist are not touched: they can be paid, cancelled and
/// expire. Every change is kept in the journal with who and why.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct SaleArgs {
    #[command(subcommand)]
    command: SaleCommand,
}

/// What happens to the sale.
#[derive(Debug, Subcommand)]
enum SaleCommand {
    /// Sell from now on.
    ///
    /// Opens now what has not opened yet, drops a closing time that is past, and ends a pause.
    #[command(before_help = OPEN_EXAMPLES)]
    Open(TargetArgs),
    /// Sell nothing any more.
    ///
    /// Buyers are told that the sale is closed. What has not opened yet loses its opening time.
    #[command(before_help = CLOSE_EXAMPLES)]
    Close(TargetArgs),
    /// Sell nothing for the moment.
    ///
    /// Buyers are told to come back; the window stays as it is.
    #[command(before_help = PAUSE_EXAMPLES)]
    Pause(TargetArgs),
    /// End a pause.
    #[command(before_help = RESUME_EXAMPLES)]
    Resume(TargetArgs),
}

/// Which SKUs, who, why.
#[derive(Debug, Args)]
struct TargetArgs {
    /// Which SKU.
    #[arg(required_unless_present = "all")]
    sku: Option<SkuId>,
    /// Every SKU there is.
    #[arg(long, conflicts_with = "sku")]
    all: bool,
    #[command(flatten)]
    author: AuthorArgs,
    #[command(flatten)]
    servers: ServerArgs,
}

/// The command.
pub(crate) async fn command(args: SaleArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let (edit, target) = match args.command {
        SaleCommand::Open(target) => (Edit::Open, target),
        SaleCommand::Close(target) => (Edit::Close, target),
        SaleCommand::Pause(target) => (Edit::Pause, target),
        SaleCommand::Resume(target) => (Edit::Resume, target),
    };
    let (author, desk) = (target.author.author()?, desk(&target.servers)?);
    let told = match target.sku {
        Some(sku_id) => Told::one(desk.edit(sku_id, edit, &author).await.map_err(change_view::explain)?),
        None => all(desk, edit, author).await?,
    };
    change_view::show(&told, terminal)
}

/// Every SKU, a few at once. One that fails does not keep the others from being changed.
async fn all(desk: Desk, edit: Edit, author: Author) -> Result<Told, Failure> {
    let ids = desk.ids().await.map_err(change_view::explain)?;
    if ids.is_empty() {
        return Err(Failure::message("nothing is on sale").hint("flashctl setup --sku 1=1000@49.00"));
    }
    let (places, author) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(author));
    let mut tasks = JoinSet::new();
    for sku_id in ids {
        let (desk, author, places) = (desk.clone(), Arc::clone(&author), Arc::clone(&places));
        tasks.spawn(async move {
            // Never closed; without a place it would only be one more at once.
            let _place = places.acquire().await;
            (sku_id, desk.edit(sku_id, edit, &author).await)
        });
    }
    let mut results: Vec<(SkuId, Result<Outcome, ChangeError>)> = tasks.join_all().await;
    results.sort_unstable_by_key(|(sku_id, _)| *sku_id);
    Ok(Told::many(results))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        sale: SaleArgs,
    }

    fn parse(line: &str) -> Result<SaleCommand, String> {
        let words = ["sale"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.sale.command).map_err(|error| error.to_string())
    }

    #[test]
    fn one_sku_or_all_of_them_and_a_reason() {
        let Ok(SaleCommand::Pause(target)) = parse("pause --all --why x --who me") else { panic!("pause") };
        assert!(target.all && target.sku.is_none());
        let Ok(SaleCommand::Open(target)) = parse("open 7 --why x") else { panic!("open") };
        assert_eq!(target.sku, Some(SkuId::new(7)));
        for line in
            ["open --why x", "open 7 --all --why x", "close 7", "pause --all", "resume x --why x", "stop 1 --why x"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}

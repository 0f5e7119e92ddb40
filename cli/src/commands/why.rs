//! `flashctl why`: one order from end to end – what Redis, the log, MySQL, payments and dead letters know of it, in order
//! of time, and in plain words what its buyer was told, where it stands and why.
//!
//! Looks and changes nothing. What seems a contradiction is looked at twice, since an order may move between two looks.

mod contradict;
mod explain;
mod facts;
mod find;
mod progress;
mod read;
mod recorded;
mod sources;
mod story;
#[cfg(test)]
mod tests;
mod timeline;
mod view;

use std::time::Duration;

use clap::Args;
use flash_core::ids::{OrderId, SkuId};
use serde_json::json;

use self::{
    find::Found,
    progress::Progress,
    read::Wish,
    sources::Sources,
    story::Kind,
    view::{Told, VERSION},
};
use crate::{
    args::Output,
    exit::Exit,
    report::{Failure, ended},
    servers::{ServerArgs, UNREACHABLE_HINT},
    terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl why 383006771100254208           an order or a reservation
  flashctl why --user 123                   every order of a buyer, and what is held for them
  flashctl why --user 123 --key my-key      what became of an idempotency key
  flashctl why --payment pi_1               the order that was paid for
  flashctl why 383006771100254208 --scan    read its partition of the log, too
  flashctl why 383006771100254208 -o json";

/// How long a move takes that was seen half-way.
const SECOND_LOOK_AFTER: Duration = Duration::from_millis(1_500);

/// Explain one ticket: what happened to it, where it stands, and why.
///
/// Asks Redis, the log (the places that MySQL names and what it has not projected yet; everything since the id was drawn if
/// MySQL does not know the order), MySQL, payments, dead letters and stock-epochs. Exit code 1: nobody knows it; 3: two
/// stores contradict each other; 4: a part could not be asked – what the others say is shown.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct WhyArgs {
    #[command(flatten)]
    asked: find::Asked,
    /// Read the order's partition of the log from the order's time on, even if MySQL knows the order.
    #[arg(long)]
    scan: bool,
    #[command(flatten)]
    servers: ServerArgs,
}

/// The command.
pub(crate) async fn command(args: WhyArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let question = args.asked.question()?;
    let sources = Sources::reach(args.servers.config()?).await;
    let mut unasked = Vec::new();
    match find::find(&sources, &question, args.asked.sku, &mut unasked).await {
        Found::Nothing(hint) => Err(nothing(&hint, &unasked)),
        Found::Order { order_id, sku_id, notes } => {
            let wish = Wish { order_id, sku_id, scan: args.scan };
            let told = look_twice(&sources, wish, notes, terminal).await;
            show(&told, &unasked, terminal)
        }
        Found::Orders(orders) => list(&sources, &orders, &unasked, terminal).await,
    }
}

async fn look_twice(sources: &Sources, wish: Wish, notes: Vec<String>, terminal: &Terminal) -> Told {
    let told = look(sources, wish, notes.clone(), terminal).await;
    if let Some(order_id) = reservation_of(&told) {
        let notes = vec![format!("{} is the reservation of order {order_id}", wish.order_id)];
        return Box::pin(look_twice(sources, Wish { order_id, ..wish }, notes, terminal)).await;
    }
    if told.story.contradictions.is_empty() {
        return told;
    }
    tokio::time::sleep(SECOND_LOOK_AFTER).await;
    look(sources, wish, notes, terminal).await
}

async fn look(sources: &Sources, wish: Wish, notes: Vec<String>, terminal: &Terminal) -> Told {
    let progress = Progress::new(*terminal);
    let facts = read::facts(sources, wish, &progress).await;
    progress.done();
    let (story, steps) = (explain::explain(&facts), timeline::timeline(&facts));
    Told { facts, steps, story, notes }
}

/// The order that the log knows by this id as its reservation.
fn reservation_of(told: &Told) -> Option<OrderId> {
    let id = told.facts.order_id;
    let entries = told.facts.log.as_ref().ok()?.entries.iter();
    let orders = entries.filter_map(|entry| entry.event.as_ref().ok()?.body.order());
    let order = orders.clone().find(|order| order.reservation_id.get() == id.get() && order.order_id != id);
    order.map(|order| order.order_id)
}

fn show(told: &Told, unasked: &[String], terminal: &Terminal) -> Result<Exit, Failure> {
    let everything_asked = told.facts.not_asked().is_empty();
    if told.story.kind == Kind::Unknown && everything_asked {
        let when = told.steps.first().map_or(0, |step| step.at_ms);
        let when = flash_core::sale::format_time(when);
        let hint = format!("if it is an id of ours, it was drawn at {when}; {}", told.story.stands);
        return Err(nothing(&hint, unasked));
    }
    let answered = match terminal.output() {
        Output::Text => told.text(terminal),
        Output::Json => terminal.answer(&told.json().to_string()),
    };
    let exit = match (told.story.contradictions.is_empty(), everything_asked) {
        (false, _) => Exit::Found,
        (true, false) => Exit::Unreachable,
        (true, true) => Exit::Ok,
    };
    ended(answered, exit)
}

/// Every order of a buyer, each in one line.
async fn list(
    sources: &Sources,
    orders: &[(OrderId, SkuId)],
    unasked: &[String],
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let (mut exit, mut answers) = (Exit::Ok, Vec::with_capacity(orders.len()));
    for (order_id, sku_id) in orders {
        let wish = Wish { order_id: *order_id, sku_id: Some(*sku_id), scan: false };
        let told = look_twice(sources, wish, Vec::new(), terminal).await;
        if !told.story.contradictions.is_empty() {
            exit = Exit::Found;
        } else if !told.facts.not_asked().is_empty() && exit == Exit::Ok {
            exit = Exit::Unreachable;
        }
        match terminal.output() {
            Output::Json => answers.push(told.json()),
            Output::Text => {
                let names: Vec<&str> = told.story.contradictions.iter().map(|found| found.name).collect();
                let doubt =
                    if names.is_empty() { String::new() } else { format!(" CONTRADICTION {}", names.join(", ")) };
                let Told { facts, story, .. } = &told;
                let line =
                    format!("{}  SKU {sku_id}  {:<10}  {}{doubt}", facts.order_id, story.kind.as_str(), story.stands);
                terminal.answer(&line)?;
            }
        }
    }
    match terminal.output() {
        Output::Json => {
            terminal.answer(&json!({ "version": VERSION, "orders": answers, "notAsked": unasked }).to_string())?;
        }
        Output::Text => {
            unasked.iter().try_for_each(|reason| terminal.answer(&format!("not asked: {reason}")))?;
            terminal.talk("flashctl why ID explains one of them whole");
        }
    }
    Ok(if exit == Exit::Ok && !unasked.is_empty() { Exit::Unreachable } else { exit })
}

/// Nobody knows; or nobody who could be asked.
fn nothing(hint: &str, unasked: &[String]) -> Failure {
    if unasked.is_empty() {
        return Failure::message("nobody knows it").hint(hint);
    }
    let error = anyhow::anyhow!("{}", unasked.join("; ")).context("those that could be asked do not know it");
    Failure::new(Exit::Unreachable, error).hint(UNREACHABLE_HINT)
}

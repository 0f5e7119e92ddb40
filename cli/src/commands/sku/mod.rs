//! `flashctl sku`: looking at what is on sale, and changing it.

mod args;
mod view;

use flash_core::ids::SkuId;
use flashd::change::{Desk, Edit};

pub(crate) use args::SkuArgs;
use args::{SkuCommand, WindowArgs};

use crate::{
    args::Output,
    change_view::{self, Told},
    exit::Exit,
    operator::AuthorArgs,
    report::Failure,
    servers::ServerArgs,
    terminal::Terminal,
};

/// Changes shown with a SKU.
const LAST_CHANGES: u32 = 10;

/// The command.
pub(crate) async fn command(args: SkuArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    match args.command {
        SkuCommand::List(args) => list(&args.servers, terminal).await,
        SkuCommand::Show(args) => show(args.id, &args.servers, terminal).await,
        SkuCommand::Changes(args) => changes(args.id, args.last, &args.servers, terminal).await,
        SkuCommand::SetCapacity(args) => {
            let (author, desk) = (args.author.author()?, desk(&args.servers)?);
            let outcome = desk.set_capacity(args.id, args.capacity, &author).await.map_err(change_view::explain)?;
            change_view::show(&Told::one(outcome), terminal)
        }
        SkuCommand::SetPrice(args) => {
            edit(args.id, Edit::Price(args.price), &args.author, &args.servers, terminal).await
        }
        SkuCommand::SetPerUser(args) => {
            edit(args.id, Edit::PerUser(args.units), &args.author, &args.servers, terminal).await
        }
        SkuCommand::SetHold(args) => {
            edit(args.id, Edit::HoldMs(args.hold), &args.author, &args.servers, terminal).await
        }
        SkuCommand::SetWindow(args) => edit(args.id, window(&args), &args.author, &args.servers, terminal).await,
    }
}

/// A desk at the servers that are named.
pub(crate) fn desk(servers: &ServerArgs) -> Result<Desk, Failure> {
    Desk::new(&servers.parts()?).map_err(|error| Failure::new(Exit::Usage, error).hint("REDIS_URL=redis://HOST:PORT"))
}

async fn edit(
    sku_id: SkuId,
    edit: Edit,
    author: &AuthorArgs,
    servers: &ServerArgs,
    terminal: &Terminal,
) -> Result<Exit, Failure> {
    let (author, desk) = (author.author()?, desk(servers)?);
    let outcome = desk.edit(sku_id, edit, &author).await.map_err(change_view::explain)?;
    change_view::show(&Told::one(outcome), terminal)
}

fn window(args: &WindowArgs) -> Edit {
    if args.always {
        return Edit::Window { opens_at_ms: Some(None), closes_at_ms: Some(None) };
    }
    Edit::Window { opens_at_ms: args.opens.map(|time| time.0), closes_at_ms: args.closes.map(|time| time.0) }
}

async fn list(servers: &ServerArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let views = desk(servers)?.list().await.map_err(change_view::explain)?;
    match terminal.output() {
        Output::Text => view::list(&views, terminal)?,
        Output::Json => terminal.answer(&view::list_json(&views))?,
    }
    Ok(Exit::Ok)
}

async fn show(sku_id: SkuId, servers: &ServerArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let desk = desk(servers)?;
    let view = desk.show(sku_id).await.map_err(change_view::explain)?;
    let changes = desk.journal(Some(sku_id), LAST_CHANGES).await.map_err(change_view::explain)?;
    match terminal.output() {
        Output::Text => view::one(&view, &changes, terminal)?,
        Output::Json => terminal.answer(&view::one_json(&view, &changes))?,
    }
    Ok(Exit::Ok)
}

async fn changes(sku_id: Option<SkuId>, last: u32, servers: &ServerArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let rows = desk(servers)?.journal(sku_id, last).await.map_err(change_view::explain)?;
    match terminal.output() {
        Output::Text if rows.is_empty() => terminal.talk("nothing was changed yet"),
        Output::Text => {
            for line in view::journal(&rows, sku_id.is_none()) {
                terminal.answer(&line)?;
            }
        }
        Output::Json => terminal.answer(&view::journal_json(&rows))?,
    }
    Ok(Exit::Ok)
}

//! `flash-naive`: one of the shops as a process, for `flashctl compare`. Not product code: never run it to sell anything.

use std::{io::Write as _, process::ExitCode, str::FromStr};

use clap::Parser;
use flash_naive::{Kind, Shop, Stores, serve};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

/// A naive shop, to compare flashd with. It oversells, or waits, or forgets: never sell anything with it.
#[derive(Debug, Parser)]
#[command(name = "flash-naive", version)]
struct Args {
    /// Which shop: mysql (oversells), mysql-lock (waits), redis-mysql (forgets).
    #[arg(long)]
    kind: Kind,
    /// Where it listens, on 127.0.0.1.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// What is on sale; repeat for several. Orders of an earlier run stay.
    #[arg(long = "sku", value_name = "ID=UNITS")]
    skus: Vec<OnSale>,
    #[arg(long, env = "MYSQL_HOST", default_value = "127.0.0.1", hide_env_values = true)]
    mysql_host: String,
    #[arg(long, env = "MYSQL_PORT", default_value_t = 3306, hide_env_values = true)]
    mysql_port: u16,
    #[arg(long, env = "MYSQL_USER", default_value = "flashuser", hide_env_values = true)]
    mysql_user: String,
    #[arg(long, env = "MYSQL_PASSWORD", default_value = "", hide_env_values = true)]
    mysql_password: String,
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1:6379", hide_env_values = true)]
    redis_url: String,
}

/// A SKU and its units.
#[derive(Debug, Clone, Copy)]
struct OnSale(u64, u32);

impl FromStr for OnSale {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(id, units)| Some(Self(id.parse().ok()?, units.parse().ok()?)));
        parts.ok_or_else(|| "what is on sale is ID=UNITS".to_owned())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let listener = TcpListener::bind(("127.0.0.1", args.port)).await?;
    let stores = Stores {
        mysql_host: args.mysql_host,
        mysql_port: args.mysql_port,
        mysql_user: args.mysql_user,
        mysql_password: args.mysql_password,
        redis_url: args.redis_url,
    };
    let shop = Shop::open(args.kind, &stores).await?;
    for OnSale(sku_id, units) in args.skus {
        shop.stock_up(sku_id, units).await?;
    }
    say(&format!("{} sells on http://{}", args.kind, listener.local_addr()?));
    tokio::select! {
        () = serve(listener, shop) => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn say(line: &str) {
    // Whether anybody listens does not matter.
    _ = writeln!(std::io::stderr().lock(), "{line}");
}

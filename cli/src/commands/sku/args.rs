//! The flags of `flashctl sku`.

use clap::{Args, Subcommand};
use flash_core::{ids::SkuId, sale::parse_price, settings::parse_duration_ms};

use crate::{operator::AuthorArgs, sale_file, servers::ServerArgs};

const EXAMPLES: &str = "\
Examples:
  flashctl sku list
  flashctl sku show 1
  flashctl sku set-capacity 1 1500 --why \"balcony opened\"
  flashctl sku set-price 1 59.00 --why \"second phase\"
  flashctl sku changes 1                who changed what, and why";

const LIST_EXAMPLES: &str = "\
Examples:
  flashctl sku list
  flashctl sku list -o json";

const SHOW_EXAMPLES: &str = "\
Examples:
  flashctl sku show 1
  flashctl sku show 1 -o json";

const CAPACITY_EXAMPLES: &str = "\
Examples:
  flashctl sku set-capacity 1 1500 --why \"balcony opened\"
  flashctl sku set-capacity 1 10k --why \"moved to the stadium\" --who ann@promoter";

const PRICE_EXAMPLES: &str = "\
Examples:
  flashctl sku set-price 1 59.00 --why \"second phase\"";

const PER_USER_EXAMPLES: &str = "\
Examples:
  flashctl sku set-per-user 1 2 --why \"touts\"";

const HOLD_EXAMPLES: &str = "\
Examples:
  flashctl sku set-hold 1 10m --why \"the payment provider is slow\"
  flashctl sku set-hold 1 90s --why \"last minutes\"";

const WINDOW_EXAMPLES: &str = "\
Examples:
  flashctl sku set-window 1 --opens 2026-11-27T10:00:00+01:00 --why \"announced\"
  flashctl sku set-window 1 --closes none --why \"until it is gone\"
  flashctl sku set-window 1 --always --why \"box office\"";

const CHANGES_EXAMPLES: &str = "\
Examples:
  flashctl sku changes                 of all SKUs, newest first
  flashctl sku changes 1 --last 100
  flashctl sku changes -o json";

/// Look at what is on sale, and change it while it is being sold.
///
/// Every change is kept in the journal with who and why. Where the servers are comes from the same environment variables
/// and configuration file as for flashd; `flashctl up` prints them. To open, close or pause: `flashctl sale`.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, disable_help_subcommand = true)]
pub(crate) struct SkuArgs {
    #[command(subcommand)]
    pub(super) command: SkuCommand,
}

/// All of them, looking first.
#[derive(Debug, Subcommand)]
pub(super) enum SkuCommand {
    List(ListArgs),
    Show(ShowArgs),
    SetCapacity(CapacityArgs),
    SetPrice(PriceArgs),
    SetPerUser(PerUserArgs),
    SetHold(HoldArgs),
    SetWindow(WindowArgs),
    Changes(ChangesArgs),
}

/// List everything that is on sale, with its stock.
#[derive(Debug, Args)]
#[command(before_help = LIST_EXAMPLES)]
pub(super) struct ListArgs {
    #[command(flatten)]
    pub(super) servers: ServerArgs,
}

/// Show one SKU: definition, stock, last changes.
#[derive(Debug, Args)]
#[command(before_help = SHOW_EXAMPLES)]
pub(super) struct ShowArgs {
    /// Which SKU.
    pub(super) id: SkuId,
    #[command(flatten)]
    pub(super) servers: ServerArgs,
}

/// Change how many units exist.
///
/// Fewer than are held, sold or on their way back is refused. If it is interrupted, the same command again completes it;
/// in between the sale has the smaller of the two capacities.
#[derive(Debug, Args)]
#[command(before_help = CAPACITY_EXAMPLES)]
pub(super) struct CapacityArgs {
    /// Which SKU.
    pub(super) id: SkuId,
    /// How many units exist, like 1500 or 10k.
    #[arg(value_name = "UNITS", value_parser = count)]
    pub(super) capacity: u32,
    #[command(flatten)]
    pub(super) author: AuthorArgs,
    #[command(flatten)]
    pub(super) servers: ServerArgs,
}

/// Change the price of one unit. Holds keep the price they were made at.
///
/// Daemons read it within half a second.
#[derive(Debug, Args)]
#[command(before_help = PRICE_EXAMPLES)]
pub(super) struct PriceArgs {
    /// Which SKU.
    pub(super) id: SkuId,
    /// Price of one unit, in the currency it is sold in.
    #[arg(value_name = "PRICE", value_parser = price)]
    pub(super) price: u64,
    #[command(flatten)]
    pub(super) author: AuthorArgs,
    #[command(flatten)]
    pub(super) servers: ServerArgs,
}

/// Change how many units one buyer may hold or own.
///
/// Buyers who have more keep them.
#[derive(Debug, Args)]
#[command(before_help = PER_USER_EXAMPLES)]
pub(super) struct PerUserArgs {
    /// Which SKU.
    pub(super) id: SkuId,
    /// Most units of one buyer.
    #[arg(value_name = "UNITS", value_parser = count)]
    pub(super) units: u32,
    #[command(flatten)]
    pub(super) author: AuthorArgs,
    #[command(flatten)]
    pub(super) servers: ServerArgs,
}

/// Change how long a unit is held for payment. Holds that exist keep their end.
#[derive(Debug, Args)]
#[command(before_help = HOLD_EXAMPLES)]
pub(super) struct HoldArgs {
    /// Which SKU.
    pub(super) id: SkuId,
    /// How long, like 90s, 5m or 1h.
    #[arg(value_name = "DURATION", value_parser = duration)]
    pub(super) hold: u64,
    #[command(flatten)]
    pub(super) author: AuthorArgs,
    #[command(flatten)]
    pub(super) servers: ServerArgs,
}

/// Change when a SKU is sold.
///
/// What is not named stays as it is. Times need a zone and count by Redis' clock. To open or close at once: `flashctl sale`.
#[derive(Debug, Args)]
#[command(before_help = WINDOW_EXAMPLES)]
#[command(group = clap::ArgGroup::new("window").args(["opens", "closes", "always"]).required(true).multiple(true))]
pub(super) struct WindowArgs {
    /// Which SKU.
    pub(super) id: SkuId,
    /// When it opens, like 2026-11-27T10:00:00+01:00; `none`: it was always open.
    #[arg(long, value_name = "TIME")]
    pub(super) opens: Option<Time>,
    /// When it closes; `none`: never.
    #[arg(long, value_name = "TIME")]
    pub(super) closes: Option<Time>,
    /// Neither opens nor closes: always on sale.
    #[arg(long, conflicts_with_all = ["opens", "closes"])]
    pub(super) always: bool,
    #[command(flatten)]
    pub(super) author: AuthorArgs,
    #[command(flatten)]
    pub(super) servers: ServerArgs,
}

/// Show who changed what, and why, newest first.
#[derive(Debug, Args)]
#[command(before_help = CHANGES_EXAMPLES)]
pub(super) struct ChangesArgs {
    /// Which SKU. [default: all]
    pub(super) id: Option<SkuId>,
    /// How many changes at most.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) last: u32,
    #[command(flatten)]
    pub(super) servers: ServerArgs,
}

/// A point in time in milliseconds since 1970, or the word `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time(pub(super) Option<u64>);

impl std::str::FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let ms = sale_file::parse_time("time", text).map_err(|error| format!("{error:#}, or the word none"))?;
        // Redis keeps zero for "none".
        if ms == 0 { Err("1970 is too early".to_owned()) } else { Ok(Self(Some(ms))) }
    }
}

fn count(text: &str) -> Result<u32, String> {
    sale_file::count("count", text).map_err(|error| format!("{error:#}"))
}

fn price(text: &str) -> Result<u64, String> {
    parse_price(text).ok_or_else(|| "expected a decimal amount like 49.00".to_owned())
}

fn duration(text: &str) -> Result<u64, String> {
    parse_duration_ms(text).ok_or_else(|| "expected a duration with its unit, like 90s, 5m or 1h".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        sku: SkuArgs,
    }

    fn parse(line: &str) -> Result<SkuCommand, String> {
        let words = ["sku"].into_iter().chain(line.split_whitespace());
        Line::try_parse_from(words).map(|line| line.sku.command).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_exact_and_have_units() {
        let Ok(SkuCommand::SetCapacity(args)) = parse("set-capacity 7 10k --why x") else { panic!("set-capacity") };
        assert_eq!((args.id, args.capacity), (SkuId::new(7), 10_000));
        let Ok(SkuCommand::SetPrice(args)) = parse("set-price 7 49.5 --why x") else { panic!("set-price") };
        assert_eq!(args.price, 4_950);
        let Ok(SkuCommand::SetHold(args)) = parse("set-hold 7 5m --why x") else { panic!("set-hold") };
        assert_eq!(args.hold, 300_000);
        for line in [
            "set-capacity 7 -1 --why x",
            "set-capacity 7 1.5k --why x",
            "set-capacity 07 1 --why x",
            "set-price 7 49.001 --why x",
            "set-price 7 EUR49 --why x",
            "set-hold 7 300 --why x",
            "set-per-user 7 many --why x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_window_names_at_least_one_end() {
        let ends = |line: &str| match parse(line) {
            Ok(SkuCommand::SetWindow(args)) => Ok((args.opens, args.closes, args.always)),
            other => Err(format!("{other:?}")),
        };
        let opens = Some(Time(Some(1_795_770_000_000)));
        assert_eq!(ends("set-window 1 --opens 2026-11-27T10:00:00+01:00 --why x"), Ok((opens, None, false)));
        assert_eq!(ends("set-window 1 --closes none --why x"), Ok((None, Some(Time(None)), false)));
        assert_eq!(ends("set-window 1 --always --why x"), Ok((None, None, true)));
        for line in [
            "set-window 1 --why x",
            "set-window 1 --always --closes none --why x",
            "set-window 1 --opens 2026-11-27T10:00:00 --why x",
            "set-window 1 --opens soon --why x",
            "set-window 1 --opens 1970-01-01T00:00:00Z --why x",
        ] {
            assert!(ends(line).is_err(), "{line}");
        }
    }

    #[test]
    fn changes_need_a_reason_and_looking_does_not() {
        for line in ["set-capacity 1 5", "set-price 1 5", "set-per-user 1 5", "set-hold 1 5m", "set-window 1 --always"]
        {
            let error = parse(line).expect_err(line);
            assert!(error.contains("--why"), "{line}: {error}");
        }
        for line in ["list", "show 1", "changes", "changes 1"] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }
}

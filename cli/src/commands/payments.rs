//! `flashctl payments`: money that came in, and what became of it.

use std::collections::HashMap;

use clap::Args;
use flash_core::{
    ids::{OrderId, SkuId},
    payment::RefundReason,
    sale::format_price,
};
use flash_stores::mysql::{
    Db, MySqlError,
    payments::{self, PaymentFilter, PaymentTotal},
    projection::PaymentRow,
    skus,
};
use serde_json::{Value, json};

use crate::{
    args::Output,
    exit::Exit,
    plain::utc,
    report::Failure,
    servers::{self, ServerArgs},
    table::{self, Align},
    terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl payments                            the newest, and totals per currency
  flashctl payments --refund-pending           money that has to be given back
  flashctl payments --order 383006771100254208
  flashctl payments --sku 1 --limit 1000 -o json";

/// Version of the JSON answer.
const PAYMENTS_VERSION: u32 = 1;
/// Payments per question to MySQL.
const PAGE: u32 = 500;

/// List payments as MySQL has them, newest first, with totals by status and currency.
///
/// REFUND_PENDING is money that bought nothing – the hold had expired, the order was paid twice, the amount was wrong – and
/// has to be given back by whoever took it.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct PaymentsArgs {
    /// Only money that has to be given back.
    #[arg(long)]
    refund_pending: bool,
    /// Only payments for this order, or the one that confirmed it.
    #[arg(long, value_name = "ID")]
    order: Option<OrderId>,
    /// Only payments for this SKU.
    #[arg(long, value_name = "ID")]
    sku: Option<SkuId>,
    /// Most payments to list; the totals count all.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    limit: u32,
    #[command(flatten)]
    servers: ServerArgs,
}

/// What was found.
struct Found {
    totals: Vec<PaymentTotal>,
    rows: Vec<PaymentRow>,
    currencies: HashMap<SkuId, String>,
}

/// The command.
pub(crate) async fn command(args: PaymentsArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let db = Db::open(&args.servers.config()?.mysql);
    let filter = PaymentFilter { refund_pending: args.refund_pending, order_id: args.order, sku_id: args.sku };
    let found = find(&db, &filter, args.limit).await.map_err(explain)?;
    match terminal.output() {
        Output::Text => found.text(terminal)?,
        Output::Json => terminal.answer(&found.json().to_string())?,
    }
    Ok(Exit::Ok)
}

async fn find(db: &Db, filter: &PaymentFilter, limit: u32) -> Result<Found, MySqlError> {
    let mut rows: Vec<PaymentRow> = Vec::new();
    let mut left = limit;
    while left > 0 {
        let after = rows.last().map(|row| (row.at_ms, &row.payment.payment_id));
        let asked = left.min(PAGE);
        let page = payments::page(db, filter, after, asked).await?;
        let is_last = page.len() < usize::try_from(asked).unwrap_or(usize::MAX);
        left -= asked;
        rows.extend(page);
        if is_last {
            break;
        }
    }
    let currencies = skus::list(db).await?.into_iter().map(|stored| (stored.sku.sku_id, stored.sku.currency)).collect();
    Ok(Found { totals: payments::totals(db, filter).await?, rows, currencies })
}

fn explain(error: MySqlError) -> Failure {
    if error.is_outage() { servers::unreachable(error) } else { Failure::from_error(error) }
}

impl Found {
    fn count(&self) -> u64 {
        self.totals.iter().map(|total| total.count).sum()
    }

    fn text(&self, terminal: &Terminal) -> Result<(), Failure> {
        if self.rows.is_empty() {
            return terminal.answer("no payments");
        }
        let headings = [
            ("AT", Align::Left),
            ("STATUS", Align::Left),
            ("REASON", Align::Left),
            ("AMOUNT", Align::Right),
            ("SKU", Align::Right),
            ("USER", Align::Right),
            ("PAID ORDER", Align::Left),
            ("CONFIRMED", Align::Left),
            ("PAYMENT", Align::Left),
        ];
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| self.cells(row).to_vec()).collect();
        for line in table::lines(&headings, &rows) {
            terminal.answer(&line)?;
        }
        let hidden = self.count().saturating_sub(self.rows.len() as u64);
        if hidden > 0 {
            terminal.answer(&format!("… and {hidden} more (--limit)"))?;
        }
        terminal.answer("")?;
        for total in &self.totals {
            let (status, currency) = (status(total.refund_pending), total.currency.as_deref().unwrap_or("?"));
            let amount = format_price(total.amount_minor);
            terminal.answer(&format!("{status:<14}  {amount:>14} {currency}  in {} payments", total.count))?;
        }
        Ok(())
    }

    fn cells(&self, row: &PaymentRow) -> [String; 9] {
        let currency = self.currencies.get(&row.sku_id).map_or("?", String::as_str);
        [
            utc(row.at_ms),
            status(row.refund.is_some()).to_owned(),
            row.refund.map_or("", RefundReason::as_str).to_owned(),
            format!("{} {currency}", format_price(row.payment.amount_minor)),
            row.sku_id.to_string(),
            row.user_id.to_string(),
            row.payment.paid_order.to_string(),
            row.order_id.map_or_else(|| "-".to_owned(), |order_id| order_id.to_string()),
            row.payment.payment_id.to_string(),
        ]
    }

    fn json(&self) -> Value {
        let total = |total: &PaymentTotal| {
            json!({
                "status": status(total.refund_pending),
                "currency": total.currency,
                "payments": total.count,
                "amountMinor": total.amount_minor,
            })
        };
        let payment = |row: &PaymentRow| {
            json!({
                "paymentId": row.payment.payment_id,
                "status": status(row.refund.is_some()),
                "reason": row.refund.map(RefundReason::as_str),
                "amountMinor": row.payment.amount_minor,
                "currency": self.currencies.get(&row.sku_id),
                "skuId": row.sku_id,
                "userId": row.user_id,
                "paidOrderId": row.payment.paid_order,
                "orderId": row.order_id,
                "epoch": row.epoch,
                "at": row.at_ms,
            })
        };
        json!({
            "version": PAYMENTS_VERSION,
            "totals": self.totals.iter().map(total).collect::<Vec<_>>(),
            "leftOut": self.count().saturating_sub(self.rows.len() as u64),
            "payments": self.rows.iter().map(payment).collect::<Vec<_>>(),
        })
    }
}

const fn status(refund_pending: bool) -> &'static str {
    if refund_pending { "REFUND_PENDING" } else { "CAPTURED" }
}

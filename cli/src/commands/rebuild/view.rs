//! How a rebuild is told.

use std::time::Duration;

use flash_core::{
    epoch::EpochState,
    ids::{Epoch, SkuId},
};
use flashd::rebuild::{Need, Plan};
use serde_json::{Value, json};

use crate::plain::utc;

/// Version of the JSON answer.
const VERSION: u32 = 1;

/// What a rebuild came to.
pub(super) struct Filled {
    pub(super) epoch: Epoch,
    pub(super) took: Duration,
    pub(super) blocked: Vec<(SkuId, String)>,
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn need(plan: &Plan) -> String {
    match &plan.need {
        Need::Nothing => "every SKU is on sale; nothing asks for a rebuild".to_owned(),
        Need::Load(new) => format!("sound; {} new SKUs wait for flashctl setup", new.len()),
        Need::Unblock(blocked) => format!("sound; {} SKUs were left closed", blocked.len()),
        Need::Rebuild(reason) => reason.to_string(),
    }
}

/// What is, and what would be done.
pub(super) fn lines(plan: &Plan) -> [String; 4] {
    let epoch = match &plan.latest {
        None => "none yet".to_owned(),
        Some(record) => {
            let state = if record.state == EpochState::Open { "open" } else { "announced, not open" };
            format!("{}, {state} since {}", record.epoch, utc(record.at_ms))
        }
    };
    let load = format!("{} for {} live orders to be loaded", seconds(plan.loading), plan.live_orders);
    let (stop, wait) = (seconds(plan.wait + plan.loading), seconds(plan.wait));
    [
        format!("epoch    {epoch}"),
        format!("stock    {}", need(plan)),
        format!("close    {} SKUs; buyers are told 503 STOCK_RECOVERING", plan.skus),
        format!("stop     about {stop}: {wait} for leases to end, about {load}"),
    ]
}

pub(super) const fn dry_run() -> &'static str {
    "dry run: nothing was done"
}

/// What came of it.
pub(super) fn summary(result: &Filled) -> String {
    let Filled { epoch, took, blocked } = result;
    let blocked = if blocked.is_empty() { String::new() } else { format!("; {} SKUs stay closed", blocked.len()) };
    format!("done: epoch {epoch} is open after {}{blocked}", seconds(*took))
}

/// The answer for programs.
pub(super) fn json(plan: &Plan, result: Option<&Filled>) -> String {
    let blocked = |(sku_id, reason): &(SkuId, String)| json!({ "skuId": sku_id, "reason": reason });
    let result = result.map_or(Value::Null, |result| {
        json!({
            "epoch": result.epoch,
            "tookMs": u64::try_from(result.took.as_millis()).unwrap_or(u64::MAX),
            "blocked": result.blocked.iter().map(blocked).collect::<Vec<_>>(),
        })
    });
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    json!({
        "version": VERSION,
        "dryRun": result.is_null(),
        "before": plan.latest.as_ref().map(|record| {
            json!({ "epoch": record.epoch, "open": record.state == EpochState::Open, "atMs": record.at_ms })
        }),
        "needed": matches!(plan.need, Need::Rebuild(_)),
        "stock": need(plan),
        "skus": plan.skus,
        "liveOrders": plan.live_orders,
        "waitMs": ms(plan.wait),
        "loadingMs": ms(plan.loading),
        "result": result,
    })
    .to_string()
}

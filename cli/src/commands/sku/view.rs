//! How SKUs and their journal are told.

use flash_core::sale::{format_price, format_time};
use flash_stores::mysql::changes::{ChangeRow, hold, window};
use flashd::change::{SkuView, StockView};
use serde_json::{Value, json};

use crate::{
    change_view::counters_json,
    report::Failure,
    table::{self, Align, grouped},
    terminal::Terminal,
};

/// Version of the JSON answers.
const SKU_VERSION: u32 = 1;
/// Longest name in a list.
const NAME_MAX_CHARS: usize = 32;
/// What is not known.
const UNKNOWN: &str = "–";

/// Prints all SKUs, one line each.
pub(crate) fn list(views: &[SkuView], terminal: &Terminal) -> Result<(), Failure> {
    if views.is_empty() {
        terminal.talk("nothing is on sale");
        terminal.talk(&format!("{} flashctl setup --sku 1=1000@49.00", terminal.cyan("hint:")));
        return Ok(());
    }
    let right = Align::Right;
    let headings = [
        ("SKU", right),
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("PRICE", right),
        ("CAPACITY", right),
        ("AVAILABLE", right),
        ("HELD", right),
        ("SOLD", right),
        ("CLOSING", right),
    ];
    for line in table::lines(&headings, &views.iter().map(row).collect::<Vec<_>>()) {
        terminal.answer(&line)?;
    }
    // Once: it is the same Redis for all of them.
    if let Some(view) = views.iter().find(|view| matches!(view.stock, StockView::Unknown(_))) {
        remark(view, terminal);
    }
    for view in views.iter().filter(|view| !matches!(view.stock, StockView::Unknown(_))) {
        remark(view, terminal);
    }
    Ok(())
}

fn row(view: &SkuView) -> Vec<String> {
    let sku = &view.stored.sku;
    let mut name: String = sku.name.chars().take(NAME_MAX_CHARS).collect();
    if name.len() < sku.name.len() {
        name.push('…');
    }
    let state = match view.stock {
        StockView::Filling => "filling",
        StockView::Absent => "not loaded",
        StockView::Loaded(_) | StockView::Unknown(_) => view.state().as_str(),
    };
    let price = format!("{} {}", format_price(sku.price_minor), sku.currency);
    let mut row = vec![sku.sku_id.to_string(), name, state.to_owned(), price, grouped(sku.capacity.into())];
    row.extend(units(view));
    row
}

/// Available, held, sold, closing.
fn units(view: &SkuView) -> [String; 4] {
    match &view.stock {
        StockView::Loaded(snapshot) => {
            let counters = &snapshot.counters;
            [counters.available, counters.held, counters.sold, counters.closing].map(|units| grouped(units.into()))
        }
        _ => [UNKNOWN; 4].map(str::to_owned),
    }
}

/// What an operator should know about a SKU beyond its numbers, on stderr.
fn remark(view: &SkuView, terminal: &Terminal) {
    let (sku_id, capacity) = (view.stored.sku.sku_id, view.stored.sku.capacity);
    let (remark, hint) = match &view.stock {
        StockView::Loaded(snapshot) if snapshot.capacity != capacity => (
            format!("SKU {sku_id}: MySQL has a capacity of {capacity}, Redis of {}", snapshot.capacity),
            format!("flashctl sku set-capacity {sku_id} {capacity} --why \"complete an interrupted change\""),
        ),
        StockView::Loaded(_) => return,
        StockView::Filling => (
            format!("SKU {sku_id} is being filled, or stays closed"),
            "GET /stats of a worker says which, under worker.rebuild.blocked".to_owned(),
        ),
        StockView::Absent => (format!("SKU {sku_id} is not in Redis"), "flashctl setup".to_owned()),
        StockView::Unknown(reason) => (format!("Redis was not asked: {reason}"), "REDIS_URL names another".to_owned()),
    };
    terminal.talk(&format!("{} {remark}", terminal.red("warning:")));
    terminal.talk(&format!("{} {hint}", terminal.cyan("hint:")));
}

/// Prints one SKU with its last changes.
pub(crate) fn one(view: &SkuView, changes: &[ChangeRow], terminal: &Terminal) -> Result<(), Failure> {
    let sku = &view.stored.sku;
    let [available, held, sold, closing] = units(view);
    terminal.answer(&format!("SKU {} {:?}", sku.sku_id, sku.name))?;
    let filled = view.stored.loaded_epoch.map_or("never".to_owned(), |epoch| format!("under epoch {epoch}"));
    let fields = [
        ("state", view.state().as_str().to_owned()),
        ("price", format!("{} {}", format_price(sku.price_minor), sku.currency)),
        ("window", window(sku.opens_at_ms, sku.closes_at_ms)),
        ("per user", grouped(sku.per_user.into())),
        ("hold", hold(sku.hold_ms)),
        ("capacity", grouped(sku.capacity.into())),
        ("available", available),
        ("held", held),
        ("sold", sold),
        ("closing", closing),
        ("version", view.stored.version.to_string()),
        ("filled", filled),
    ];
    for (name, value) in fields {
        terminal.answer(&format!("  {name:<10} {value}"))?;
    }
    if !changes.is_empty() {
        terminal.answer("last changes")?;
        for line in journal(changes, false) {
            terminal.answer(&format!("  {line}"))?;
        }
    }
    remark(view, terminal);
    Ok(())
}

/// The journal as lines, with or without the column of SKUs.
pub(crate) fn journal(rows: &[ChangeRow], with_sku: bool) -> Vec<String> {
    let left = Align::Left;
    let mut headings = vec![("WHEN", left), ("WHO", left), ("WHAT", left), ("FROM", left), ("TO", left), ("WHY", left)];
    if with_sku {
        headings.insert(1, ("SKU", Align::Right));
    }
    let cells = |row: &ChangeRow| {
        let value = |value: &Option<String>| value.clone().unwrap_or_default();
        let change = &row.change;
        let (old, new) = (value(&change.old_value), value(&change.new_value));
        let mut cells = vec![format_time(row.at_ms), row.who.clone(), change.what.clone(), old, new, row.why.clone()];
        if with_sku {
            cells.insert(1, row.sku_id.to_string());
        }
        cells
    };
    table::lines(&headings, &rows.iter().map(cells).collect::<Vec<_>>())
}

/// All SKUs for programs.
pub(crate) fn list_json(views: &[SkuView]) -> String {
    json!({ "version": SKU_VERSION, "skus": views.iter().map(describe).collect::<Vec<_>>() }).to_string()
}

/// One SKU for programs.
pub(crate) fn one_json(view: &SkuView, changes: &[ChangeRow]) -> String {
    json!({ "version": SKU_VERSION, "sku": describe(view), "changes": changes }).to_string()
}

/// The journal for programs.
pub(crate) fn journal_json(rows: &[ChangeRow]) -> String {
    json!({ "version": SKU_VERSION, "changes": rows }).to_string()
}

/// `stock` is null where Redis has none that counts, and `redis` says why.
fn describe(view: &SkuView) -> Value {
    let sku = &view.stored.sku;
    let (redis, stock) = match &view.stock {
        StockView::Loaded(snapshot) => ("loaded", Some(counters_json(snapshot.capacity, &snapshot.counters))),
        StockView::Filling => ("filling", None),
        StockView::Absent => ("absent", None),
        StockView::Unknown(_) => ("unknown", None),
    };
    json!({
        "skuId": sku.sku_id,
        "name": sku.name,
        "state": view.state(),
        "price": format_price(sku.price_minor),
        "priceMinor": sku.price_minor,
        "currency": sku.currency,
        "capacity": sku.capacity,
        "perUser": sku.per_user,
        "holdMs": sku.hold_ms,
        "opensAt": sku.opens_at_ms,
        "closesAt": sku.closes_at_ms,
        "paused": sku.paused,
        "version": view.stored.version,
        "loadedEpoch": view.stored.loaded_epoch,
        "redis": redis,
        "stock": stock,
    })
}

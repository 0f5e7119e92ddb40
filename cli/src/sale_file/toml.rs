//! `[[sku]]` tables.

use anyhow::bail;
use serde::Deserialize;
use toml::Value;

use super::Entry;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    sku: Vec<Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    id: Value,
    name: Option<String>,
    price: Value,
    currency: Option<String>,
    capacity: Value,
    per_user: Option<Value>,
    hold_seconds: Option<Value>,
    opens_at: Option<Value>,
    closes_at: Option<Value>,
}

/// Reads the text of a file.
pub(super) fn entries(text: &str) -> anyhow::Result<Vec<Entry>> {
    let file: File = toml::from_str(text)?;
    file.sku.into_iter().map(entry).collect()
}

fn entry(table: Table) -> anyhow::Result<Entry> {
    let optional = |field, value: Option<Value>| value.map(|value| plain(field, value)).transpose();
    Ok(Entry {
        id: plain("id", table.id)?,
        name: table.name,
        price: plain("price", table.price)?,
        currency: table.currency,
        capacity: plain("capacity", table.capacity)?,
        per_user: optional("per_user", table.per_user)?,
        hold_seconds: optional("hold_seconds", table.hold_seconds)?,
        opens_at: optional("opens_at", table.opens_at)?,
        closes_at: optional("closes_at", table.closes_at)?,
    })
}

/// A value as the text it was written as. A float is not: 49.1 is not exactly representable, and money is exact.
fn plain(field: &str, value: Value) -> anyhow::Result<String> {
    match value {
        Value::String(text) => Ok(text),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Datetime(time) => Ok(time.to_string()),
        Value::Float(_) => bail!("{field}: write the number in quotes, like \"49.00\""),
        other => bail!("{field} cannot be {}", other.type_str()),
    }
}

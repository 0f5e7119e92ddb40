//! CSV with a header line. An empty field is an absent one.

use anyhow::{Context, bail};

use super::Entry;

/// Reads the text of a file.
pub(super) fn entries(text: &str) -> anyhow::Result<Vec<Entry>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let columns = reader.headers()?.clone();
    let mut entries = Vec::new();
    for record in reader.records() {
        let record = record?;
        let mut entry = Entry::default();
        for (column, field) in columns.iter().zip(&record) {
            set(&mut entry, column, field).with_context(|| match record.position() {
                Some(position) => format!("line {}", position.line()),
                None => "header".to_owned(),
            })?;
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn set(entry: &mut Entry, column: &str, field: &str) -> anyhow::Result<()> {
    let optional = || (!field.is_empty()).then(|| field.to_owned());
    match column {
        "id" => entry.id = field.to_owned(),
        "name" => entry.name = optional(),
        "price" => entry.price = field.to_owned(),
        "currency" => entry.currency = optional(),
        "capacity" => entry.capacity = field.to_owned(),
        "per_user" => entry.per_user = optional(),
        "hold_seconds" => entry.hold_seconds = optional(),
        "opens_at" => entry.opens_at = optional(),
        "closes_at" => entry.closes_at = optional(),
        other => bail!("unknown column {other:?}"),
    }
    Ok(())
}

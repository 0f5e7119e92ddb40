//! The plan: what is there against what is wanted, item by item. Pure.

use super::{SetupError, SetupOptions};
use crate::rebuild::Need;
use flash_core::limits::SKUS_MAX;
use flash_core::sale::{Sku, format_price};
use flash_stores::kafka::admin::{TopicSpec, TopicStatus};
use flash_stores::mysql::migrate::SchemaStatus;
use flash_stores::mysql::skus::StoredSku;
use serde::Serialize;
use std::collections::HashMap;

/// What will be done about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is not there.
    Create,
    /// It is there and not as wanted.
    Change,
    /// It is as wanted.
    Unchanged,
}

impl Action {
    /// Its name, as printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What kind of thing an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The tables in MySQL.
    Schema,
    /// A topic.
    Topic,
    /// A definition of something on sale.
    Sku,
    /// The stock in Redis.
    Stock,
}

impl Kind {
    /// Its name, as printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Schema => "schema",
            Self::Topic => "topic",
            Self::Sku => "sku",
            Self::Stock => "stock",
        }
    }
}

/// One line of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// What kind of thing.
    pub kind: Kind,
    /// Which one.
    pub name: String,
    /// What will be done.
    pub action: Action,
    /// With what.
    pub detail: String,
}

/// Everything that will be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One item per thing, in the order in which they are done.
    pub items: Vec<Item>,
    pub(super) topics: Vec<TopicSpec>,
    /// Definitions to write: new or changed.
    pub(super) skus: Vec<Sku>,
    pub(super) migrate: bool,
}

impl Plan {
    /// Whether anything at all will be done.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.items.iter().any(|item| item.action != Action::Unchanged)
    }

    pub(super) fn new(options: &SetupOptions, found: Found) -> Result<Self, SetupError> {
        let mut plan = Self { items: Vec::new(), topics: Vec::new(), skus: Vec::new(), migrate: false };
        let mut refused = Vec::new();
        plan.schema(&options.parts.mysql.database, &found.schema, &mut refused);
        for spec in &found.required {
            let there = found.topics.iter().find(|topic| topic.name == spec.name);
            plan.topic(options, spec, there, &mut refused);
        }
        let new = plan.skus(&options.skus, &found.stored, &mut refused);
        if !refused.is_empty() {
            return Err(SetupError::Refused(refused));
        }
        if found.stored.len() + new > SKUS_MAX {
            return Err(SetupError::TooMany(found.stored.len() + new));
        }
        plan.stock(&found.need, new);
        Ok(plan)
    }

    fn add(&mut self, kind: Kind, name: impl Into<String>, action: Action, detail: impl Into<String>) {
        self.items.push(Item { kind, name: name.into(), action, detail: detail.into() });
    }

    fn schema(&mut self, database: &str, schema: &SchemaStatus, refused: &mut Vec<String>) {
        if schema.unknown > 0 {
            let count = schema.unknown;
            refused.push(format!("database {database} has {count} migrations of a newer version: use that version"));
        }
        let (action, detail) = match (schema.database_exists, schema.applied, schema.pending) {
            (false, _, pending) => (Action::Create, format!("database and {pending} migrations")),
            (true, applied, 0) => (Action::Unchanged, format!("{applied} migrations")),
            (true, 0, pending) => (Action::Create, format!("{pending} migrations")),
            (true, _, pending) => (Action::Change, format!("{pending} more migrations")),
        };
        self.migrate = action != Action::Unchanged;
        self.add(Kind::Schema, database, action, detail);
    }

    fn topic(
        &mut self,
        options: &SetupOptions,
        spec: &TopicSpec,
        there: Option<&TopicStatus>,
        refused: &mut Vec<String>,
    ) {
        let shape = |partitions: i32, replication: i32| {
            let plural = if partitions == 1 { "" } else { "s" };
            format!("{partitions} partition{plural}, replication {replication}")
        };
        let Some(there) = there else {
            self.add(Kind::Topic, &spec.name, Action::Create, shape(spec.partitions, spec.replication));
            self.topics.push(spec.clone());
            return;
        };
        // Only what somebody asked for, or what the system cannot live with, is a contradiction.
        let fixed = spec.partitions == 1 || options.partitions.is_some();
        if fixed && there.partitions != spec.partitions {
            refused.push(format!(
                "topic {} has {} partitions, not {}: the events of one order must stay in one partition, so this can never \
                 change",
                spec.name, there.partitions, spec.partitions
            ));
        }
        if options.replication.is_some() && there.replication != spec.replication {
            refused.push(format!(
                "topic {} has replication {}, not {}: change it with the broker's own tools",
                spec.name, there.replication, spec.replication
            ));
        }
        self.add(Kind::Topic, &spec.name, Action::Unchanged, shape(there.partitions, there.replication));
    }

    /// Adds the definitions and counts the new ones.
    fn skus(&mut self, wanted: &[Sku], stored: &[StoredSku], refused: &mut Vec<String>) -> usize {
        let stored: HashMap<_, _> = stored.iter().map(|stored| (stored.sku.sku_id, stored)).collect();
        let mut new = 0;
        for sku in wanted {
            let name = sku.sku_id.to_string();
            let Some(stored) = stored.get(&sku.sku_id) else {
                new += 1;
                let detail = format!("{:?}, {} × {} {}", sku.name, sku.capacity, price(sku), sku.currency);
                self.add(Kind::Sku, name, Action::Create, detail);
                self.skus.push(sku.clone());
                continue;
            };
            refused.extend(contradictions(sku, stored));
            let differences = differences(sku, &stored.sku);
            if differences.is_empty() {
                self.add(Kind::Sku, name, Action::Unchanged, format!("{:?}", sku.name));
            } else {
                self.add(Kind::Sku, name, Action::Change, differences.join(", "));
                self.skus.push(sku.clone());
            }
        }
        new
    }

    fn stock(&mut self, need: &Need, new: usize) {
        let (action, detail) = match need {
            Need::Rebuild(reason) => (Action::Create, format!("fill Redis from MySQL and the log: {reason}")),
            Need::Load(waiting) => (Action::Create, format!("load {} new SKUs", waiting.len() + new)),
            Need::Unblock(blocked) => {
                (Action::Create, format!("try to fill {} SKUs that were left closed", blocked.len()))
            }
            Need::Nothing if new > 0 => (Action::Create, format!("load {new} new SKUs")),
            Need::Nothing => (Action::Unchanged, "every SKU is loaded".to_owned()),
        };
        self.add(Kind::Stock, "redis", action, detail);
    }
}

/// What [`super::inspect`] has found.
pub(super) struct Found {
    pub(super) schema: SchemaStatus,
    pub(super) required: Vec<TopicSpec>,
    pub(super) topics: Vec<TopicStatus>,
    pub(super) stored: Vec<StoredSku>,
    pub(super) need: Need,
}

fn price(sku: &Sku) -> String {
    format_price(sku.price_minor)
}

/// What must not be changed by a setup.
fn contradictions(wanted: &Sku, stored: &StoredSku) -> Vec<String> {
    let (sku_id, current) = (wanted.sku_id, &stored.sku);
    let mut found = Vec::new();
    if wanted.capacity != current.capacity {
        found.push(format!(
            "SKU {sku_id} has a capacity of {}, not {}: setup never changes the capacity of a SKU that exists, units may \
             have been sold; `flashctl sku set-capacity {sku_id} {}` does",
            current.capacity, wanted.capacity, wanted.capacity
        ));
    }
    if wanted.currency != current.currency && stored.loaded_epoch.is_some() {
        found.push(format!("SKU {sku_id} is sold in {}, not {}", current.currency, wanted.currency));
    }
    found
}

fn differences(wanted: &Sku, current: &Sku) -> Vec<String> {
    let time = |ms: Option<u64>| ms.map_or("none".to_owned(), |ms| format!("{ms} ms"));
    let pairs = [
        ("name", format!("{:?}", current.name), format!("{:?}", wanted.name)),
        ("price", price(current), price(wanted)),
        ("currency", current.currency.clone(), wanted.currency.clone()),
        ("per_user", current.per_user.to_string(), wanted.per_user.to_string()),
        ("hold", format!("{} ms", current.hold_ms), format!("{} ms", wanted.hold_ms)),
        ("opens_at", time(current.opens_at_ms), time(wanted.opens_at_ms)),
        ("closes_at", time(current.closes_at_ms), time(wanted.closes_at_ms)),
    ];
    let changed = pairs.into_iter().filter(|(_, before, after)| before != after);
    changed.map(|(field, before, after)| format!("{field} {before} → {after}")).collect()
}

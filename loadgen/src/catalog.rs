//! What is on sale: `GET /api/v1/flash/skus`.
//!
//! Owns the one request besides purchases that the engine makes. Reads leniently: other servers may tell
//! more, or less.

use std::time::Duration;

use serde::{Deserialize, Deserializer};
use tokio::time::Instant;

use crate::LoadError;
use crate::conn::{Connection, new_scratch};
use crate::target::Target;

/// A SKU as the server describes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SkuOnSale {
    /// The SKU's id.
    #[serde(deserialize_with = "id")]
    pub sku_id: u64,
    /// Its name, if told.
    #[serde(default)]
    pub name: String,
    /// Units for sale in total, if told.
    #[serde(default, deserialize_with = "whole")]
    pub capacity: Option<u64>,
    /// Units that can be bought now, if told.
    #[serde(default, deserialize_with = "whole")]
    pub available: Option<u64>,
    /// Price of one unit in minor units of its currency, if told.
    #[serde(default, deserialize_with = "whole")]
    pub price_minor: Option<u64>,
}

#[derive(Deserialize)]
struct Listing {
    skus: Vec<SkuOnSale>,
}

/// An id as a string of digits or as a number.
fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Id {
        Text(String),
        Number(u64),
    }
    match Id::deserialize(deserializer)? {
        Id::Text(text) => text.parse().map_err(serde::de::Error::custom),
        Id::Number(number) => Ok(number),
    }
}

/// A whole number that is not negative; anything else says nothing, and costs no more than itself.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_u64())
}

/// Asks the target what is on sale.
pub async fn fetch_catalog(target: &Target, timeout: Duration) -> Result<Vec<SkuOnSale>, LoadError> {
    let name = || format!("http://{}{}", target.authority, target.prefix);
    let lost = |what: &str| LoadError::Catalog(format!("GET {}/api/v1/flash/skus: {what}", name()));
    let deadline = Instant::now() + timeout;
    let (mut connection, _) = Connection::open_first(&target.addresses, timeout)
        .await
        .map_err(|source| LoadError::Unreachable { target: name(), source })?;
    let request = format!(
        "GET {}/api/v1/flash/skus HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
        target.prefix, target.authority,
    );
    connection.send_rest(request.as_bytes(), deadline).await.map_err(|fault| lost(&format!("{fault:?}")))?;
    let (status, body) = connection
        .receive(&new_scratch(), deadline, |head, body| (head.status, body.to_vec()))
        .await
        .map_err(|fault| lost(&format!("{fault:?}")))?;
    if status != 200 {
        return Err(lost(&format!("status {status}")));
    }
    let listing: Listing = serde_json::from_slice(&body).map_err(|e| lost(&e.to_string()))?;
    Ok(listing.skus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_none_counts_as_not_told() {
        let text = r#"{"skus":[
            {"skuId":"1","capacity":"many","available":-5,"priceMinor":49.5},
            {"skuId":2,"name":"B","capacity":5,"available":null,"priceMinor":4900}]}"#;
        let skus = serde_json::from_str::<Listing>(text).unwrap().skus;
        let told: Vec<_> = skus.iter().map(|sku| (sku.sku_id, sku.capacity, sku.available, sku.price_minor)).collect();
        assert_eq!(told, [(1, None, None, None), (2, Some(5), None, Some(4_900))]);
    }
}

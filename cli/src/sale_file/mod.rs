//! Definitions of what is on sale, as people write them: `--sku 1=1000@49.00`, a TOML file, or a CSV file with the same
//! columns.
//!
//! Owns the spelling and the defaults; the bounds are `flash_core::sale`'s. Nothing is guessed: an unknown field, a price
//! that is not exact or a time without its zone is an error that names the place.

mod csv;
mod time;
mod toml;

pub(crate) use time::parse as parse_time;

use std::{path::Path, str::FromStr};

use anyhow::{Context, bail};
use flash_core::{
    ids::SkuId,
    limits::{HOLD_DEFAULT_MS, QUANTITY_MAX},
    sale::{Sku, parse_price},
};

/// Currency of a SKU that names none.
const CURRENCY_DEFAULT: &str = "EUR";

/// One definition in the words of a file: everything is text, and only what must be there is.
#[derive(Debug, Default, Clone)]
struct Entry {
    id: String,
    name: Option<String>,
    price: String,
    currency: Option<String>,
    capacity: String,
    per_user: Option<String>,
    hold_seconds: Option<String>,
    opens_at: Option<String>,
    closes_at: Option<String>,
}

/// Reads a file by its ending: `.csv` is CSV, everything else TOML.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Sku>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let entries = if is_csv { csv::entries(&text) } else { toml::entries(&text) };
    let entries = entries.with_context(|| format!("cannot read {}", path.display()))?;
    let skus = entries.into_iter().enumerate().map(|(index, entry)| {
        let place = format!("{}, SKU number {} (id {:?})", path.display(), index + 1, entry.id);
        entry.into_sku().context(place)
    });
    skus.collect()
}

impl Entry {
    fn into_sku(self) -> anyhow::Result<Sku> {
        let sku_id = SkuId::parse(&self.id).context("id")?;
        let sku = Sku {
            sku_id,
            name: self.name.unwrap_or_else(|| format!("SKU {sku_id}")),
            price_minor: parse_price(&self.price)
                .with_context(|| format!("price {:?} is not a decimal amount like 49.00", self.price))?,
            currency: self.currency.unwrap_or_else(|| CURRENCY_DEFAULT.to_owned()),
            capacity: count("capacity", &self.capacity)?,
            per_user: self.per_user.map_or(Ok(QUANTITY_MAX), |text| count("per_user", &text))?,
            hold_ms: match self.hold_seconds {
                Some(text) => u64::from(count("hold_seconds", &text)?) * 1_000,
                None => HOLD_DEFAULT_MS,
            },
            opens_at_ms: self.opens_at.map(|text| time::parse("opens_at", &text)).transpose()?,
            closes_at_ms: self.closes_at.map(|text| time::parse("closes_at", &text)).transpose()?,
            paused: false,
        };
        sku.check()?;
        Ok(sku)
    }
}

/// Reads a count like `1000`, `1_000` or `10k`; `field` is named in the error.
pub(crate) fn count(field: &str, text: &str) -> anyhow::Result<u32> {
    let (digits, factor) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1_000),
        None => (text, 1),
    };
    let plain = digits.replace('_', "");
    let number = plain.parse::<u32>().ok().filter(|_| plain.bytes().all(|byte| byte.is_ascii_digit()));
    match number.and_then(|number| number.checked_mul(factor)) {
        Some(number) => Ok(number),
        None => bail!("{field} {text:?} is not a count like 1000 or 10k"),
    }
}

/// A definition on the command line: `ID=CAPACITY@PRICE`.
#[derive(Debug, Clone)]
pub(crate) struct SkuFlag(pub(crate) Sku);

impl FromStr for SkuFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=').and_then(|(id, rest)| Some((id, rest.split_once('@')?)));
        let (id, (capacity, price)) = parts.ok_or("expected ID=CAPACITY@PRICE, like 1=1000@49.00")?;
        let entry = Entry { id: id.into(), capacity: capacity.into(), price: price.into(), ..Entry::default() };
        entry.into_sku().map(SkuFlag).map_err(|error| format!("{error:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(text: &str) -> Result<Sku, String> {
        text.parse::<SkuFlag>().map(|flag| flag.0)
    }

    #[test]
    fn a_flag_defines_a_sku() {
        let sku = flag("1=10k@49.5").unwrap();
        assert_eq!((sku.sku_id.get(), sku.capacity, sku.price_minor), (1, 10_000, 4_950));
        assert_eq!((sku.name.as_str(), sku.currency.as_str(), sku.per_user), ("SKU 1", "EUR", QUANTITY_MAX));
        for text in
            ["1", "1=5", "1@5", "0=5@1", "01=5@1", "1=0@1", "1=-5@1", "1=5@1.005", "1=5@", "1=5k5@1", "1=@1", "1=+5@1"]
        {
            assert!(flag(text).is_err(), "{text}");
        }
    }

    #[test]
    fn both_formats_say_the_same() {
        let dir = std::env::temp_dir().join(format!("flash-sale-file-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (toml, csv) = (dir.join("sale.toml"), dir.join("sale.csv"));
        std::fs::write(
            &toml,
            "[[sku]]\nid = 1\nname = \"Front row\"\nprice = \"49.00\"\ncapacity = 1000\nper_user = 4\nhold_seconds = 120\n\
             opens_at = 2026-11-27T10:00:00+01:00\ncloses_at = \"2026-11-28T00:00:00Z\"\n\n\
             [[sku]]\nid = \"2\"\nprice = \"5\"\ncapacity = \"2k\"\n",
        )
        .unwrap();
        std::fs::write(
            &csv,
            "id,name,price,capacity,opens_at,closes_at,per_user,hold_seconds\n\
             1,Front row,49.00,1000,2026-11-27T09:00:00Z,2026-11-28 00:00:00Z,4,120\n2,,5,2k,,,,\n",
        )
        .unwrap();
        let skus = read(&toml).unwrap();
        assert_eq!(skus, read(&csv).unwrap());
        assert_eq!((skus[0].hold_ms, skus[0].opens_at_ms), (120_000, Some(1_795_770_000_000)));
        assert_eq!((skus[1].capacity, skus[1].opens_at_ms), (2_000, None));
        for (text, why) in [
            ("[[sku]]\nid=1\ncapacity=1\nprice=49.0\n", "price"),
            ("[[sku]]\nid=1\ncapacity=1\nprice=\"1\"\ncolour=\"red\"\n", "colour"),
            ("[[sku]]\nid=1\ncapacity=1\nprice=\"1\"\nopens_at=2026-11-27T10:00:00\n", "opens_at"),
            ("[[sku]]\nid=1\ncapacity=1\n", "price"),
            ("[sku]\nid=1\n", "sku"),
        ] {
            std::fs::write(&toml, text).unwrap();
            let error = format!("{:#}", read(&toml).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}

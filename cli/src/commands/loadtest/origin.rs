//! Where figures come from: versions of the servers and the command line, without which they mean nothing.
//!
//! Promises that no secret gets into a report: values of flags that look like one, and logins in URLs, are left out.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
};

use crate::{http, live::discover::from_environment, verdict::Places};

/// Flags whose value is nobody's business.
const SECRET: [&str; 4] = ["password", "secret", "token", "key"];
/// What a secret is replaced by.
const HIDDEN: &str = "***";

/// Versions of whatever answers: a server that does not is left out.
pub(crate) async fn servers(places: Option<&Places>) -> BTreeMap<String, String> {
    let mut versions = match places {
        Some(places) => places.versions().await,
        None => BTreeMap::new(),
    };
    versions.extend(env::var("FLASH_BROKER").ok().map(|broker| ("broker".to_owned(), broker)));
    if let Some(version) = daemons(&from_environment()).await {
        versions.insert("flashd".to_owned(), version);
    }
    versions.insert("flashctl".to_owned(), build());
    versions
}

/// Our own version; figures of an unoptimised build are worth less.
fn build() -> String {
    let kind = if cfg!(debug_assertions) { ", with debug assertions" } else { "" };
    format!("{}{kind}", env!("CARGO_PKG_VERSION"))
}

/// Versions of the daemons that answer, each once: usually all are of one.
async fn daemons(admin: &[String]) -> Option<String> {
    let mut versions = BTreeSet::new();
    for url in admin {
        versions.extend(daemon(url).await);
    }
    (!versions.is_empty()).then(|| versions.into_iter().collect::<Vec<_>>().join(", "))
}

async fn daemon(admin: &str) -> Option<String> {
    let (status, body) = http::get(&http::address_of(admin).ok()?, "/stats").await.ok()?;
    let stats: serde_json::Value = serde_json::from_str(&body).ok().filter(|_| status == 200)?;
    stats["build"].as_str().map(str::to_owned)
}

/// The command line as it was typed, without secrets.
pub(crate) fn command_line() -> String {
    redacted(env::args().skip(1))
}

fn redacted(words: impl Iterator<Item = String>) -> String {
    let mut shown = vec!["flashctl".to_owned()];
    let mut hide_next = false;
    for word in words {
        let is_secret = |flag: &str| flag.starts_with("--") && SECRET.iter().any(|part| flag.contains(part));
        let (flag, value) = word.split_once('=').map_or((word.as_str(), None), |(flag, value)| (flag, Some(value)));
        shown.push(match value {
            _ if std::mem::take(&mut hide_next) => HIDDEN.to_owned(),
            Some(_) if is_secret(flag) => format!("{flag}={HIDDEN}"),
            None if is_secret(flag) => {
                hide_next = true;
                word
            }
            _ => without_login(&word),
        });
    }
    shown.join(" ")
}

/// `http://user:password@host` without what stands before the host.
fn without_login(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN}{}", &rest[at..]),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn secrets_are_left_out() {
        let line = "loadtest --password hunter2 --auth-token=abc --target http://me:pw@host:1/x?y --sku 1=2";
        let shown = redacted(line.split(' ').map(str::to_owned));
        assert_eq!(shown, "flashctl loadtest --password *** --auth-token=*** --target http://***@host:1/x?y --sku 1=2");
        assert!(!["hunter2", "abc", "pw"].iter().any(|secret| shown.contains(secret)));
    }
}

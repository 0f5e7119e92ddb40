//! The tables of docs/configuration.md, made from the settings table and from what [`Config::read`] refuses.
//!
//! What a setting accepts is not written down a second time: each is given nonsense, and the refusal says the rule.

use super::{Config, Role};
use flash_core::settings::{SETTINGS, Setting, Settings, SettingsError};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const DOC: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- settings: begin (made from crates/core/src/settings/table.rs and daemon/src/config.rs) -->\n";
const END: &str = "<!-- settings: end -->\n";

/// Shorter than any secret, and nothing that any rule allows.
const NONSENSE: &str = "\u{7f}";

/// What may be anything, and what the table says of it.
const ANYTHING: &[(&str, &str)] = &[("mysql.password", "text")];

/// What it accepts, in the words of the refusal.
fn accepts(setting: &Setting) -> String {
    let given = |flag: &str| (flag == setting.flag).then(|| NONSENSE.to_owned());
    let refusal = Config::read(&Settings::layer(given, |_| None, None).unwrap());
    let rule = match refusal {
        Ok(_) => {
            let (_, rule) = ANYTHING.iter().find(|(name, _)| *name == setting.name).unwrap_or_else(|| {
                panic!("{} takes anything: refuse nonsense, or say in ANYTHING what it is", setting.name)
            });
            return (*rule).to_owned();
        }
        Err(SettingsError::Value { rule, .. }) => rule,
        // A secret's refusal does not show what was given, so it comes as a sentence.
        Err(SettingsError::Combination(text)) => text,
        Err(other) => panic!("{}: {other}", setting.name),
    };
    rule.split_once("must be ").map_or(rule.as_str(), |(_, rule)| rule).to_owned()
}

/// Which processes do something with it. Most settings say how to reach what both roles need.
fn used_by(setting: &Setting) -> &'static str {
    const SELLING: &[&str] = &["http.", "payments."];
    const WORKING: &[&str] = &["audit."];
    let is_one_of = |prefixes: &[&str]| prefixes.iter().any(|prefix| setting.name.starts_with(prefix));
    match (is_one_of(SELLING), is_one_of(WORKING)) {
        (true, _) => Role::Api.as_str(),
        (_, true) => Role::Worker.as_str(),
        _ => "both",
    }
}

fn table() -> String {
    let mut table =
        "| setting | variable | flag | default | accepts | of | meaning |\n|---|---|---|---|---|---|---|\n".to_owned();
    for setting in SETTINGS {
        let Setting { name, env, flag, default, help, secret } = setting;
        let default = if default.is_empty() { "unset".to_owned() } else { format!("`{default}`") };
        let secret = if *secret { " **Secret**: never printed." } else { "" };
        let (accepts, by) = (accepts(setting).replace('|', "\\|"), used_by(setting));
        table += &format!("| `{name}` | `{env}` | `--{flag}` | {default} | {accepts} | {by} | {help}{secret} |\n");
    }
    table
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_documentation_has_exactly_these_settings() {
    crate::made_from_code::assert_documented(DOC, (BEGIN, END), &table());
}

/// The name of a value in --help, and a variable that a test makes up.
const NO_VARIABLES: &[&str] = &["FLASHD_ARGS", "FLASH_NO_SUCH_VARIABLE"];

/// Variables of our own – `FLASH_…`, `FLASHD_…`, `FLASHCTL_…` – that any source names.
fn variables(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | ".git" | "snapshots") {
            variables(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
            let ours =
                words.filter(|word| ["FLASH_", "FLASHD_", "FLASHCTL_"].iter().any(|ours| word.starts_with(ours)));
            found.extend(ours.filter(|word| !word.ends_with('_')).map(str::to_owned));
        }
    }
}

/// A variable that only the code knows helps nobody.
#[test]
fn the_documentation_knows_every_variable() {
    let text = std::fs::read_to_string(root().join(DOC)).unwrap();
    let mut found = BTreeSet::new();
    for folder in ["crates", "daemon", "loadgen", "cli", "tests"] {
        variables(&root().join(folder), &mut found);
    }
    assert!(found.contains("FLASH_ADMIN_URL") && found.contains("FLASHD_CRASH_AT"), "{found:?}");
    let is_told = |name: &String| NO_VARIABLES.contains(&name.as_str()) || text.contains(&format!("`{name}`"));
    let untold: Vec<&String> = found.iter().filter(|name| !is_told(name)).collect();
    assert!(untold.is_empty(), "docs/configuration.md does not tell of {untold:?}");
}

//! A user's file: TOML text into names and values.
//!
//! A refusal says the line and what is wrong there, and never shows the line itself: it may be the one with the password.

use super::{SETTINGS, SettingsError};
use std::collections::BTreeMap;

pub(super) fn read(text: &str) -> Result<BTreeMap<String, String>, SettingsError> {
    let table: toml::Table = text.parse().map_err(|error| no_toml(text, &error))?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(section) => {
                for (inner, value) in section {
                    values.insert(format!("{key}.{inner}"), scalar(&value));
                }
            }
            value => {
                values.insert(key, scalar(&value));
            }
        }
    }
    match values.keys().find(|name| !SETTINGS.iter().any(|setting| setting.name == name.as_str())) {
        Some(unknown) => Err(SettingsError::Unknown(unknown.clone())),
        None => Ok(values),
    }
}

fn no_toml(text: &str, error: &toml::de::Error) -> SettingsError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or("");
    let line = before.matches('\n').count() + 1;
    SettingsError::File(format!("line {line}: {}", error.message()))
}

fn scalar(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn what_is_no_toml_is_refused_by_its_line_and_not_shown() {
        for (text, line) in [
            ("role = \"all\"\n[mysql]\npassword = \"opensesame\n", "line 3"),
            ("[mysql]\npassword = opensesame\n", "line 2"),
            ("[mysql]\npassword = \"opensesame\"\npassword = \"opensesame\"\n", "line 3"),
            ("[mysql\nopensesame", "line 1"),
        ] {
            let refused = read(text).unwrap_err().to_string();
            assert!(refused.contains(line) && !refused.contains("opensesame"), "{refused}");
        }
    }
}

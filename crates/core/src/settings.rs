//! Settings and where they come from: flag > environment > file > built-in default.
//!
//! Every setting is one row of [`SETTINGS`]; the default file, `--print-config`, the documentation and the check of a
//! user's file are all made from that table. Values are strings until a concern reads them, so nothing here needs the
//! process environment.

mod file;
mod mask;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

pub use table::{SETTINGS, Setting};

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Command line.
    Flag,
    /// Environment variable.
    Environment,
    /// Configuration file.
    File,
    /// Built in.
    Default,
}

/// Why settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The file is not TOML.
    #[error("configuration file: {0}")]
    File(String),
    /// The file names a setting that does not exist.
    #[error("configuration file: unknown setting `{0}`")]
    Unknown(String),
    /// A value cannot be read.
    #[error("{name}: `{value}` {rule} (from {origin:?})")]
    Value {
        /// The setting.
        name: &'static str,
        /// What was given; a secret, or the login of a URL, is masked.
        value: String,
        /// What it should have been.
        rule: String,
        /// Who gave it.
        origin: Origin,
    },
    /// Two settings contradict each other.
    #[error("{0}")]
    Combination(String),
}

/// The effective value of every setting, with its origin.
#[derive(Debug, Clone)]
pub struct Settings {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Settings {
    /// Layers the sources. `flags` and `environment` look a value up by flag and by variable name; `file` is TOML text.
    ///
    /// # Errors
    /// [`SettingsError::File`] or [`SettingsError::Unknown`] if the file cannot be used.
    pub fn layer(
        flags: impl Fn(&str) -> Option<String>,
        environment: impl Fn(&str) -> Option<String>,
        file: Option<&str>,
    ) -> Result<Self, SettingsError> {
        let file = file.map_or_else(|| Ok(BTreeMap::new()), file::read)?;
        let pick = |setting: &Setting| {
            let flag = flags(setting.flag).map(|value| (value, Origin::Flag));
            let env =
                || environment(setting.env).filter(|value| !value.is_empty()).map(|value| (value, Origin::Environment));
            let from_file = || file.get(setting.name).map(|value| (value.clone(), Origin::File));
            flag.or_else(env).or_else(from_file).unwrap_or_else(|| (setting.default.to_owned(), Origin::Default))
        };
        Ok(Self { values: SETTINGS.iter().map(|setting| (setting.name, pick(setting))).collect() })
    }

    /// The value of a setting, empty if unset.
    ///
    /// # Panics
    /// If the name is not in [`SETTINGS`]: a mistake in the program, found by its first test.
    #[must_use]
    pub fn text(&self, name: &'static str) -> &str {
        &self.entry(name).0
    }

    fn entry(&self, name: &'static str) -> &(String, Origin) {
        self.values.get(name).unwrap_or_else(|| panic!("no setting is called {name}"))
    }

    /// Reads a number, duration or other value with its own parser.
    ///
    /// # Errors
    /// [`SettingsError::Value`] with the rule that was broken.
    pub fn read<T>(
        &self,
        name: &'static str,
        rule: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, SettingsError> {
        let (value, origin) = self.entry(name);
        let is_secret = SETTINGS.iter().any(|setting| setting.name == name && setting.secret);
        parse(value).ok_or_else(|| SettingsError::Value {
            name,
            value: mask::shown(value, is_secret),
            rule: rule.to_owned(),
            origin: *origin,
        })
    }

    /// Reads a duration like `250ms`, `5s`, `10m`.
    ///
    /// # Errors
    /// [`SettingsError::Value`] if there is no unit or it is outside `bounds`, in milliseconds.
    pub fn duration(
        &self,
        name: &'static str,
        bounds_ms: std::ops::RangeInclusive<u64>,
    ) -> Result<Duration, SettingsError> {
        let (least, most) = (in_units(*bounds_ms.start()), in_units(*bounds_ms.end()));
        let rule = format!("must be a duration with a unit, from {least} to {most}");
        self.read(name, &rule, |text| {
            parse_duration_ms(text).filter(|ms| bounds_ms.contains(ms)).map(Duration::from_millis)
        })
    }

    /// All values as a commented TOML file with their origins; secrets, and the password of a URL, are masked.
    #[must_use]
    pub fn render(&self) -> String {
        render(|setting| {
            let (value, origin) = self.entry(setting.name);
            (mask::shown(value, setting.secret), format!("  # {origin:?}"))
        })
    }
}

/// The commented default file.
#[must_use]
pub fn default_file() -> String {
    render(|setting| (setting.default.to_owned(), String::new()))
}

fn render(value_of: impl Fn(&Setting) -> (String, String)) -> String {
    let mut sections: BTreeMap<&str, Vec<&Setting>> = BTreeMap::new();
    for setting in SETTINGS {
        sections.entry(setting.name.split_once('.').map_or("", |(section, _)| section)).or_default().push(setting);
    }
    let mut text = String::new();
    for (section, settings) in sections {
        if !section.is_empty() {
            let _ = writeln!(text, "[{section}]");
        }
        for setting in settings {
            let key = setting.name.split_once('.').map_or(setting.name, |(_, key)| key);
            let (value, note) = value_of(setting);
            let _ = writeln!(text, "# {} ({}, --{})\n{key} = {value:?}{note}", setting.help, setting.env, setting.flag);
        }
        text.push('\n');
    }
    text
}

/// Reads a duration with a unit (`ms`, `s`, `m`, `h`) as milliseconds.
#[must_use]
pub fn parse_duration_ms(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    number.parse::<u64>().ok()?.checked_mul(unit_ms(unit)?)
}

/// Milliseconds of a unit of time as people write it: the units of every duration in flags and files.
#[must_use]
pub fn unit_ms(unit: &str) -> Option<u64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    }
}

/// The shortest way to say so many milliseconds that [`parse_duration_ms`] reads.
fn in_units(ms: u64) -> String {
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.into_iter().find(|(factor, _)| ms > 0 && ms.is_multiple_of(*factor)) {
        Some((factor, unit)) => format!("{}{unit}", ms / factor),
        None => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_they_are_read() {
        for (ms, said) in
            [(0, "0ms"), (50, "50ms"), (1_500, "1500ms"), (30_000, "30s"), (120_000, "2m"), (86_400_000, "24h")]
        {
            assert_eq!((in_units(ms).as_str(), parse_duration_ms(said)), (said, Some(ms)));
        }
    }

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn the_default_file_says_exactly_the_defaults() {
        let from_file = Settings::layer(none, none, Some(&default_file())).unwrap();
        for setting in SETTINGS {
            assert_eq!(from_file.text(setting.name), setting.default, "{}", setting.name);
        }
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let file = "[http]\nport = 1\n[redis]\nurl = \"redis://file\"\n";
        let env = |name: &str| (name == "PORT").then(|| "2".to_owned());
        let flag = |name: &str| (name == "port").then(|| "3".to_owned());
        assert_eq!(Settings::layer(flag, env, Some(file)).unwrap().text("http.port"), "3");
        let settings = Settings::layer(none, env, Some(file)).unwrap();
        assert_eq!((settings.text("http.port"), settings.text("redis.url")), ("2", "redis://file"));
        assert_eq!(settings.text("mysql.host"), "127.0.0.1");
    }

    #[test]
    fn typing_errors_are_found() {
        let unknown = Settings::layer(none, none, Some("[http]\nprot = 1\n")).unwrap_err();
        assert_eq!(unknown, SettingsError::Unknown("http.prot".into()));
        let settings = Settings::layer(none, none, Some("[epoch]\nlease = \"5\"\n")).unwrap();
        assert!(settings.duration("epoch.lease", 0..=10_000).unwrap_err().to_string().contains("unit"));
    }

    #[test]
    fn secrets_are_not_printed() {
        let env = |name: &str| (name == "MYSQL_PASSWORD").then(|| "hunter2".to_owned());
        let text = Settings::layer(none, env, None).unwrap().render();
        assert!(!text.contains("hunter2") && text.contains("********"));
        let settings = Settings::layer(none, env, None).unwrap();
        let refused = settings.read::<()>("mysql.password", "must be better", |_| None).unwrap_err().to_string();
        assert!(!refused.contains("hunter2") && refused.contains("must be better"), "{refused}");
    }
}

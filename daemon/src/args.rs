//! The command line of `flashd`: one flag per setting, made from the settings table.

use anyhow::Context;
use clap::{Arg, ArgAction, Command};
use flash_core::settings::{SETTINGS, Settings, default_file};
use flashd::config::Config;

/// What the caller wants.
pub(crate) enum Wish {
    /// Run with these settings.
    Run(Settings),
    /// Print this and leave.
    Print(String),
}

const EXAMPLES: &str = "Examples:
  flashd --role all --port 3000
  flashd --config flashd.toml --check-config
  REDIS_URL=redis://10.0.0.5 KAFKA_BROKERS=10.0.0.6:9092 MYSQL_HOST=10.0.0.7 flashd --role api --bind 0.0.0.0

Precedence: flag > environment > file > default.";

fn command() -> Command {
    let command = Command::new("flashd")
        .about("The flash-sale daemon: sells tickets that exist, once")
        .version(env!("CARGO_PKG_VERSION"))
        .before_help(EXAMPLES)
        .arg(Arg::new("config").long("config").value_name("FILE").help("Configuration file (TOML)"))
        .arg(switch("print-config", "Print the effective settings and where each came from"))
        .arg(switch("default-config", "Print the commented default file"))
        .arg(switch("check-config", "Check the settings and leave"));
    SETTINGS.iter().fold(command, |command, setting| {
        let unset = setting.default.is_empty();
        let default = if unset { "unset".to_owned() } else { format!("default {}", setting.default) };
        let help = format!("{} [{}, {default}]", setting.help, setting.env);
        command.arg(Arg::new(setting.flag).long(setting.flag).value_name("VALUE").help(help).hide_default_value(true))
    })
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// Reads command line, environment and file. Usage errors and `--help` end the process here, as clap does it.
pub(crate) fn read() -> anyhow::Result<Wish> {
    let matches = command().get_matches();
    if matches.get_flag("default-config") {
        return Ok(Wish::Print(default_file()));
    }
    let file = match matches.get_one::<String>("config") {
        Some(path) => Some(std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?),
        None => None,
    };
    let flag = |name: &str| matches.get_one::<String>(name).cloned();
    let settings = Settings::layer(flag, |name| std::env::var(name).ok(), file.as_deref())?;
    if matches.get_flag("print-config") {
        return Ok(Wish::Print(settings.render()));
    }
    if matches.get_flag("check-config") {
        Config::read(&settings)?;
        return Ok(Wish::Print("the configuration is good\n".to_owned()));
    }
    Ok(Wish::Run(settings))
}

//! The command line of `flashd`: one flag per setting, made from the settings table.
//!
//! Here and not in the program, because manual page and completions are made from it as well (`flashctl man`). It reads
//! nothing: what was given is layered with environment and file by `main`.

use clap::{Arg, ArgAction, Command};
use flash_core::settings::SETTINGS;

const EXAMPLES: &str = "Examples:
  flashd --role all --port 3000
  flashd --config flashd.toml --check-config
  REDIS_URL=redis://10.0.0.5 KAFKA_BROKERS=10.0.0.6:9092 MYSQL_HOST=10.0.0.7 flashd --role api --bind 0.0.0.0

Precedence: flag > environment > file > default.";

/// The command, not yet asked for its matches. A setting's id is its flag.
#[must_use]
pub fn command() -> Command {
    let command = Command::new("flashd")
        .about("The flash-sale daemon: sells tickets that exist, once")
        .version(env!("CARGO_PKG_VERSION"))
        .before_help(EXAMPLES)
        .arg(Arg::new("config").long("config").value_name("FILE").help("Configuration file (TOML)"))
        .arg(switch("print-config", "Print the effective settings and where each came from"))
        .arg(
            switch("default-config", "Print the commented default file")
                .conflicts_with_all(["print-config", "check-config"]),
        )
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

//! What the caller of `flashd` wants: command line, environment and file read once.

use anyhow::Context;
use flash_core::settings::{Settings, default_file};
use flashd::command_line;
use flashd::config::Config;

/// What the caller wants.
pub(crate) enum Wish {
    /// Run with these settings.
    Run(Settings),
    /// Print this and leave.
    Print(String),
}

/// Reads command line, environment and file. Usage errors and `--help` end the process here, as clap does it.
pub(crate) fn read() -> anyhow::Result<Wish> {
    let matches = command_line::command().get_matches();
    if matches.get_flag("default-config") {
        return Ok(Wish::Print(default_file()));
    }
    let file = match matches.get_one::<String>("config") {
        Some(path) => Some(std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?),
        None => None,
    };
    let flag = |name: &str| matches.get_one::<String>(name).cloned();
    let settings = Settings::layer(flag, |name| std::env::var(name).ok(), file.as_deref())?;
    let is_checked = matches.get_flag("check-config");
    if is_checked {
        Config::read(&settings)?;
    }
    if matches.get_flag("print-config") {
        return Ok(Wish::Print(settings.render()));
    }
    if is_checked {
        return Ok(Wish::Print("the configuration is good\n".to_owned()));
    }
    Ok(Wish::Run(settings))
}

//! `flashctl`, the operator's terminal program: arguments → terminal → runtime → command → exit code.
//!
//! stdout carries the answer and nothing else; the talk goes to stderr. See [`exit`] for the codes.

mod args;
mod ask;
mod change_view;
mod commands;
mod exit;
mod faults;
mod files;
mod http;
mod interrupt;
mod live;
mod operator;
mod plain;
mod report;
mod report_page;
mod sale_file;
mod screen;
mod servers;
mod signals;
mod site;
mod table;
mod terminal;
mod top;
mod verdict;

use std::process::ExitCode;

use clap::Parser;

use crate::{args::Cli, exit::Exit, report::Failure, terminal::Terminal};

fn main() -> ExitCode {
    // Bad usage ends inside with exit code 2, --help with 0.
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.output, cli.color);
    let exit = match run(cli, &terminal) {
        Ok(exit) => exit,
        Err(failure) => failure.report(&terminal),
    };
    exit.into()
}

fn run(cli: Cli, terminal: &Terminal) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::from_error)?;
    let result = runtime.block_on(commands::run(cli.command, terminal));
    // Nothing that matters runs in the background by now; do not wait for what does.
    runtime.shutdown_background();
    result
}

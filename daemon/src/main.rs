//! `flashd`, the flash-sale daemon.

mod args;

use anyhow::Context;
use flashd::config::Config;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Exit code after a second signal.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    match args::read() {
        Ok(args::Wish::Print(text)) => print(&text),
        Ok(args::Wish::Run(settings)) => match Config::read(&settings) {
            Ok(config) => match run(config) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => complain(&error, 1),
            },
            Err(error) => complain(&error.into(), 2),
        },
        Err(error) => complain(&error, 2),
    }
}

fn run(config: Config) -> anyhow::Result<()> {
    let logs = flashd::logs::start(&config.logs)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if config.threads > 0 {
        builder.worker_threads(config.threads);
    }
    let runtime = builder.enable_all().thread_name("flashd").build().context("the runtime cannot start")?;
    runtime.block_on(async {
        let mut interrupts = signal(SignalKind::interrupt())?;
        let mut terminations = signal(SignalKind::terminate())?;
        let role = config.role.as_str();
        let running = flashd::start(config, logs).await?;
        let (api, admin) = (running.addresses.api, running.addresses.admin);
        let api = api.map(tracing::field::display);
        tracing::info!(role, api, %admin, "listening; GET /readyz on the admin address says when it is ready");
        tokio::select! { _ = interrupts.recv() => {}, _ = terminations.recv() => {}, () = running.asked_to_exit() => {} }
        tokio::spawn(async move {
            tokio::select! { _ = interrupts.recv() => {}, _ = terminations.recv() => {} }
            tracing::warn!("second signal: leaving at once");
            std::process::exit(INTERRUPTED);
        });
        running.stop().await;
        anyhow::Ok(())
    })
}

fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    // A closed pipe means the reader has seen enough.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn complain(error: &anyhow::Error, code: u8) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "error: {error}");
    for cause in error.chain().skip(1) {
        let _ = writeln!(std::io::stderr(), "cause: {cause}");
    }
    ExitCode::from(code)
}

//! `flashctl up`: the whole system in the foreground, every line of it prefixed on stderr, until it is told to stop.

use std::{collections::BTreeMap, ffi::OsString, fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::PathBuf};

use clap::Args;
use flash_stack::{KafkaChoice, LogLine, MysqlChoice, RedisChoice, StackOptions, log_channel};
use tokio::sync::mpsc;

use crate::{
    args::Output,
    exit::Exit,
    interrupt::Interrupt,
    report::Failure,
    site::{DaemonOptions, PartExit, Site, SiteOptions},
    terminal::Terminal,
};

const EXAMPLES: &str = "\
Examples:
  flashctl up                          everything, temporary data, until Ctrl-C
  flashctl up --data ./site            keep the data and find it again next time
  flashctl up --kafka tansu-sqlite     a broker whose records survive kill -9
  flashctl up --redis cluster          three Redis primaries and three replicas; kill one
  flashctl up --redis replica          a primary and a replica, to fail over by hand
  flashctl up --redis redis://10.0.0.5:6379 --kafka 10.0.0.6:9092
  flashctl up --no-flashd              only the servers, for a daemon of your own
  flashctl up --env-file site.env      in the other terminal: source site.env
  flashctl up -o json > site.json &     addresses and environment for a script";

/// Keep the whole system running in the foreground.
///
/// Starts Redis, MariaDB or MySQL, a Kafka-protocol broker and flashd on loopback ports, and stops all of them on
/// Ctrl-C or SIGTERM (exit code 0; a second signal exits at once). Servers that were not started here are never
/// touched. If one of ours dies, the rest is stopped and the exit code is 1; of several Redis servers, all may die but one.
/// When all is up, stdout has the variables by which the other commands find it, as lines for a shell.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct UpArgs {
    /// The broker: tansu, tansu-sqlite, apache, or HOST:PORT of one that runs elsewhere.
    #[arg(long, default_value = "tansu", value_name = "BROKER")]
    kafka: KafkaChoice,
    /// What to start: single, replica (a primary and a replica; after `redis-cli -p PORT replicaof no one` on the replica
    /// the sale moves to it), cluster (three primaries, three replicas), or the URL of a Redis that runs elsewhere:
    /// redis://HOST:PORT[,HOST:PORT…] or redis-cluster://HOST:PORT,…
    #[arg(long, default_value = "single", value_name = "REDIS")]
    redis: RedisChoice,
    /// Use this MySQL or MariaDB instead of starting one.
    #[arg(long, default_value = "start", hide_default_value = true, value_name = "URL")]
    mysql: MysqlChoice,
    /// Keep data in this directory; without it all data is temporary.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write the variables to this file as well, readable for its owner only; removed at the end.
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// Port of the API; 0 takes any free one. [default: 3000 if free]
    #[arg(long)]
    port: Option<u16>,
    /// The flashd to run. [default: the one next to flashctl]
    #[arg(long, value_name = "PATH")]
    flashd: Option<PathBuf>,
    /// Start the servers only.
    #[arg(long, conflicts_with_all = ["flashd", "port", "flashd_args"])]
    no_flashd: bool,
    /// Arguments for flashd, after `--`.
    #[arg(last = true, value_name = "FLASHD_ARGS")]
    flashd_args: Vec<OsString>,
}

/// Runs until a signal comes or a part dies.
pub(crate) async fn run(args: UpArgs, terminal: &Terminal) -> Result<Exit, Failure> {
    let mut interrupt = Interrupt::listen()?;
    let (logs, lines) = log_channel();
    let printer = print_lines(lines, *terminal);
    let result = up(args, logs, terminal, &mut interrupt).await;
    // All senders are gone with the processes; what they said last is printed before we end.
    _ = tokio::task::spawn_blocking(move || printer.join()).await;
    result
}

async fn up(
    args: UpArgs,
    logs: flash_stack::LogSender,
    terminal: &Terminal,
    interrupt: &mut Interrupt,
) -> Result<Exit, Failure> {
    terminal.talk(&terminal.dim("starting – stop with Ctrl-C"));
    let env_file = args.env_file.clone();
    let site = Site::start(args.into_options(logs)).await?;
    let unready = tokio::select! {
        reason = site.unready_reason() => reason,
        died = site.first_exit() => {
            stop(site, terminal).await;
            return Err(unexpected_end(&died));
        }
        // Asked to stop before it was ready: nothing is announced.
        () = interrupt.requested() => {
            stop(site, terminal).await;
            return Ok(Exit::Interrupted);
        }
    };
    let env_file = env_file.map(|path| EnvFile::write(path, &site)).transpose();
    let _env_file = match env_file.and_then(|file| announce(&site, unready, terminal).map(|()| file)) {
        Ok(file) => file,
        Err(failure) => {
            stop(site, terminal).await;
            return Err(failure);
        }
    };
    let died = tokio::select! {
        died = site.first_exit() => Some(died),
        () = interrupt.requested() => None,
    };
    stop(site, terminal).await;
    match died {
        None => Ok(Exit::Ok),
        Some(died) => Err(unexpected_end(&died)),
    }
}

fn unexpected_end((name, exit, last_lines): &PartExit) -> Failure {
    let lines: String = last_lines.iter().map(|line| format!("\n    {line}")).collect();
    Failure::message(format!("{name} ended unexpectedly ({exit}); its last lines:{lines}"))
}

impl UpArgs {
    fn into_options(self, logs: flash_stack::LogSender) -> SiteOptions {
        let daemon = DaemonOptions { program: self.flashd, port: self.port, args: self.flashd_args };
        SiteOptions {
            stack: StackOptions {
                kafka: self.kafka,
                kafka_advertised: None,
                redis: self.redis,
                mysql: self.mysql,
                data: self.data,
                logs: Some(logs),
            },
            skus: Vec::new(),
            daemon: (!self.no_flashd).then_some(daemon),
        }
    }
}

/// The ready line: for people on stderr, for programs one line of JSON on stdout.
fn announce(site: &Site, unready: Option<String>, terminal: &Terminal) -> Result<(), Failure> {
    let stack = site.stack();
    if let Some(reason) = &unready {
        terminal.talk(&format!("{} flashd is alive but not ready: {reason}", terminal.red("warning:")));
        terminal.talk(&format!("{} flashctl setup", terminal.cyan("hint:")));
    }
    let urls = [
        ("api", site.api_url()),
        ("admin", site.admin_url()),
        ("redis", Some(stack.redis_set().url().to_owned())),
        ("kafka", Some(stack.kafka().url().to_owned())),
        ("mysql", Some(stack.mysql().url().to_owned())),
    ];
    let told: Vec<String> = urls.iter().filter_map(|(name, url)| Some(format!("{name} {}", url.as_ref()?))).collect();
    let word = if unready.is_none() { "ready" } else { "up" };
    terminal.talk(&format!("{} {}", terminal.green(word), told.join(" · ")));
    match terminal.output() {
        Output::Json => {
            let mut line: serde_json::Map<String, serde_json::Value> =
                urls.into_iter().map(|(name, url)| (name.to_owned(), url.into())).collect();
            line.insert("env".to_owned(), serde_json::json!(site.env_map()));
            terminal.answer(&serde_json::Value::Object(line).to_string())
        }
        Output::Text => terminal.answer(&exports(&site.env_map())),
    }
}

/// The variables as lines for a shell.
fn exports(variables: &BTreeMap<String, String>) -> String {
    let quoted = |value: &str| format!("'{}'", value.replace('\'', r"'\''"));
    let lines: Vec<String> = variables.iter().map(|(name, value)| format!("export {name}={}", quoted(value))).collect();
    lines.join("\n")
}

/// The file with the variables; goes away with the site, since it holds secrets and leads nowhere any more.
struct EnvFile(PathBuf);

impl EnvFile {
    fn write(path: PathBuf, site: &Site) -> Result<Self, Failure> {
        let text = exports(&site.env_map()) + "\n";
        let opened = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        match opened.and_then(|mut file| file.write_all(text.as_bytes())) {
            Ok(()) => Ok(Self(path)),
            Err(error) => {
                let context = format!("cannot write {}", path.display());
                Err(Failure::from_error(anyhow::Error::new(error).context(context)))
            }
        }
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        // If it is gone already, somebody has tidied up before us.
        _ = fs::remove_file(&self.0);
    }
}

async fn stop(site: Site, terminal: &Terminal) {
    terminal.talk(&terminal.dim("stopping – a second Ctrl-C exits at once"));
    site.stop_telling(|name, exit| terminal.talk(&format!("{} {name} ({exit})", terminal.dim("stopped")))).await;
}

/// Prints every line with its server's name, each server in its own colour. A thread, because writing to a terminal
/// may block for as long as somebody holds Ctrl-S.
fn print_lines(mut lines: mpsc::Receiver<LogLine>, terminal: Terminal) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while let Some(LogLine { server, text }) = lines.blocking_recv() {
            let prefix = terminal.paint(color_of(&server), &format!("{server:<6} |"));
            terminal.talk(&format!("{prefix} {text}"));
        }
    })
}

fn color_of(server: &str) -> &'static str {
    match server {
        "redis" => "31",
        "mysql" => "34",
        "kafka" => "35",
        _ => "32",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_reach_the_shell_as_they_are() {
        let variables = BTreeMap::from([("A".to_owned(), "it's $HOME".to_owned()), ("B".to_owned(), String::new())]);
        assert_eq!(exports(&variables), "export A='it'\\''s $HOME'\nexport B=''");
    }
}

//! Which daemons are watched: those that are named, or those that have said in MySQL that they are there.
//!
//! Never asks a daemon anything. A daemon that is no longer listed stays for a while, so that one that died is seen to be gone
//! instead of being missed.

use std::time::{Duration, Instant};

use clap::Args;
use flash_stores::mysql::{Db, MySqlSettings, daemons};
use tokio::{sync::watch, time::timeout};

use crate::{exit::Exit, http, plain::harmless, report::Failure, servers::ServerArgs};

/// How often the list in MySQL is read.
const READ_EVERY: Duration = Duration::from_secs(3);
/// How long MySQL may take over it.
const READ_WITHIN: Duration = Duration::from_secs(5);
/// How long a daemon that is no longer listed is still shown.
const GONE_SHOWN: Duration = Duration::from_secs(30);
/// Most daemons that are watched at once; more are not shown.
const DAEMONS_MAX: usize = 64;

/// What to do when daemons are named and none of them answers.
pub(crate) const NOBODY_HINT: &str = "flashctl daemon list shows those that say in MySQL that they run; --admin and FLASH_ADMIN_URL name the admin listener, which is not the one of buyers";
const HINT: &str = "flashctl up starts a daemon; --admin URL or FLASH_ADMIN_URL names one, MYSQL_HOST and MYSQL_PORT the database that lists them";

/// Where the daemons are.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct WatchedArgs {
    /// Admin listeners of daemons, HOST:PORT or URL. Unless given, those of FLASH_ADMIN_URL, separated by commas; without it
    /// those that say in MySQL that they run.
    #[arg(long = "admin", value_name = "URL", value_delimiter = ',')]
    admins: Vec<String>,
    #[command(flatten)]
    servers: ServerArgs,
}

impl WatchedArgs {
    /// Whether daemons are named, so that nobody has to look for them.
    pub(crate) fn are_named(&self) -> bool {
        !self.named().is_empty()
    }

    /// The daemons that are named. Not clap's business: a variable in the environment must not get into conflict with a flag.
    fn named(&self) -> Vec<String> {
        let given = self.admins.iter().map(|url| url.trim().to_owned()).filter(|url| !url.is_empty());
        let given: Vec<String> = given.collect();
        if given.is_empty() { from_environment() } else { given }
    }

    /// The settings of flashd in our environment and file.
    pub(crate) fn config(&self) -> Result<flashd::config::Config, Failure> {
        self.servers.config()
    }
}

/// The admin listeners that `FLASH_ADMIN_URL` names.
pub(crate) fn from_environment() -> Vec<String> {
    let urls = std::env::var("FLASH_ADMIN_URL").unwrap_or_default();
    urls.split(',').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect()
}

/// A daemon on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it is shown.
    pub(crate) url: String,
    /// `HOST:PORT`, or why that cannot be read from the URL.
    pub(crate) address: Result<String, String>,
    /// Since when it is not listed any more.
    pub(crate) gone_since: Option<Instant>,
}

/// The list, in the order in which daemons came.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    entries: Vec<Entry>,
    /// What MySQL says; `None` if the daemons were named.
    listed: Option<watch::Receiver<Vec<String>>>,
    title: String,
}

impl Roster {
    /// Those that are named, or those that are listed in MySQL now – and later, as they come and go.
    pub(crate) async fn find(args: &WatchedArgs) -> Result<Self, Failure> {
        let named = args.named();
        if !named.is_empty() {
            return Self::named(&named.iter().map(String::as_str).collect::<Vec<_>>());
        }
        let settings = MySqlSettings { connections_max: 1, ..args.servers.config()?.mysql };
        let db = Db::open(&settings);
        let none = |error: anyhow::Error| Failure::new(Exit::Unreachable, error).hint(HINT);
        let urls = read(&db).await.map_err(|reason| {
            none(
                anyhow::anyhow!("{reason}")
                    .context("no daemon is named, and the list of daemons in MySQL cannot be read"),
            )
        })?;
        if urls.is_empty() {
            return Err(none(anyhow::anyhow!("no daemon is named, and none has said in MySQL that it runs")));
        }
        let title = format!("{}:{}/{}", settings.host, settings.port, settings.database);
        let mut roster = Self { title, ..Self::default() };
        roster.update(&urls, Instant::now());
        roster.listed = Some(follow(db, urls));
        Ok(roster)
    }

    /// These, and no others ever.
    pub(crate) fn named(urls: &[&str]) -> Result<Self, Failure> {
        let usage = |reason: String| Failure::new(Exit::Usage, anyhow::anyhow!(reason));
        if urls.len() > DAEMONS_MAX {
            return Err(usage(format!("at most {DAEMONS_MAX} daemons can be watched at once")));
        }
        urls.iter().try_for_each(|url| http::address_of(url).map(drop)).map_err(usage)?;
        let mut roster = Self { title: urls.join(", "), ..Self::default() };
        roster.update(&urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>(), Instant::now());
        Ok(roster)
    }

    /// What is watched, in a few words: the daemons, or the database that lists them.
    pub(crate) fn title(&self) -> String {
        self.title.clone()
    }

    /// The daemons to show now.
    pub(crate) fn entries(&mut self, now: Instant) -> &[Entry] {
        let news = self.listed.as_mut().and_then(|listed| {
            listed.has_changed().is_ok_and(|changed| changed).then(|| listed.borrow_and_update().clone())
        });
        if let Some(urls) = news {
            self.update(&urls, now);
        }
        self.entries.retain(|entry| entry.gone_since.is_none_or(|since| now.duration_since(since) < GONE_SHOWN));
        &self.entries
    }

    /// Takes over a new list. Who is on it already keeps its place.
    fn update(&mut self, urls: &[String], now: Instant) {
        for entry in &mut self.entries {
            let is_listed = urls.contains(&entry.url);
            entry.gone_since = if is_listed { None } else { entry.gone_since.or(Some(now)) };
        }
        for url in urls {
            if self.entries.len() < DAEMONS_MAX && !self.entries.iter().any(|entry| entry.url == *url) {
                // Anybody who may write to the table can put anything there; it is shown in many places.
                let url = harmless(url);
                let url = if url.contains("://") { url } else { format!("http://{url}") };
                if !self.entries.iter().any(|entry| entry.url == url) {
                    self.entries.push(Entry { address: http::address_of(&url), url, gone_since: None });
                }
            }
        }
    }
}

/// The list, as MySQL has it. A daemon that was started again at its old address stands on it twice for a while.
async fn read(db: &Db) -> Result<Vec<String>, String> {
    let listed = timeout(READ_WITHIN, daemons::list(db)).await.map_err(|_| "MySQL: no answer in time".to_owned())?;
    let mut urls: Vec<String> = Vec::new();
    for daemon in listed.map_err(|error| error.to_string())? {
        if !urls.contains(&daemon.told.admin_url) {
            urls.push(daemon.told.admin_url);
        }
    }
    Ok(urls)
}

/// Goes on reading the list. While MySQL is away the last list stands.
fn follow(db: Db, urls: Vec<String>) -> watch::Receiver<Vec<String>> {
    let (sender, receiver) = watch::channel(urls);
    tokio::spawn(async move {
        while !sender.is_closed() {
            tokio::time::sleep(READ_EVERY).await;
            if let Ok(urls) = read(&db).await {
                sender.send_if_modified(|known| {
                    let is_new = *known != urls;
                    *known = urls;
                    is_new
                });
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(roster: &mut Roster, now: Instant) -> Vec<(String, bool)> {
        let entries = roster.entries(now);
        entries.iter().map(|entry| (entry.url.clone(), entry.gone_since.is_some())).collect()
    }

    #[tokio::test]
    async fn who_comes_is_appended_and_who_goes_is_shown_as_gone_for_a_while() {
        let (sender, listed) = watch::channel(Vec::new());
        let mut roster = Roster { listed: Some(listed), ..Roster::default() };
        let list = |urls: &[&str]| drop(sender.send_replace(urls.iter().map(|url| (*url).to_owned()).collect()));
        let at = |s| Instant::now() + Duration::from_secs(s);
        let url = |name: &str, gone| (format!("http://{name}:1"), gone);

        list(&["http://a:1", "http://b:1"]);
        assert_eq!(seen(&mut roster, at(0)), [url("a", false), url("b", false)]);
        list(&["http://c:1", "http://b:1"]);
        assert_eq!(seen(&mut roster, at(1)), [url("a", true), url("b", false), url("c", false)]);
        assert_eq!(seen(&mut roster, at(20)).len(), 3);
        list(&["http://b:1", "http://c:1", "http://d:1"]);
        assert_eq!(seen(&mut roster, at(25)).len(), 4, "still gone since the first time");
        assert_eq!(seen(&mut roster, at(32)), [url("b", false), url("c", false), url("d", false)]);
        list(&["http://b:1"]);
        seen(&mut roster, at(40));
        list(&["http://b:1", "http://c:1"]);
        assert_eq!(seen(&mut roster, at(41)), [url("b", false), url("c", false), url("d", true)], "it came back");
    }

    #[test]
    fn a_row_of_the_table_commands_no_terminal_and_is_asked_nothing() {
        let mut roster = Roster::default();
        roster.update(&["http://h\u{1b}[2J:1".to_owned()], Instant::now());
        let entry = &roster.entries(Instant::now())[0];
        assert_eq!(entry.url, "http://h\\u{1b}[2J:1");
        assert!(entry.address.is_err());
    }

    #[test]
    fn named_daemons_are_addresses() {
        let mut roster = Roster::named(&["10.0.0.7:9100", "http://h:2/"]).unwrap();
        let entries = roster.entries(Instant::now());
        assert_eq!(entries[0].url, "http://10.0.0.7:9100");
        assert_eq!(entries[1].address.as_deref(), Ok("h:2"));
        assert!(Roster::named(&["h"]).is_err());
    }
}

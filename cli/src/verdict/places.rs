//! Where the witness looks, and whether anybody answers there.

use std::{collections::BTreeMap, time::Duration};

use flash_witness::{gate, read_log, view, view::ViewAddress};
use flashd::config::Config;
use tokio::time::timeout;

/// How long a store may take to answer before anything is bought.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
const CLUSTER: &str = "redis-cluster://";
const SERVERS: &str = "redis://";

/// The three stores.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    pub(super) brokers: String,
    pub(super) topic: String,
    pub(super) view: ViewAddress,
    /// One URL per server.
    pub(super) redis: Vec<String>,
    /// In front of every key in Redis.
    pub(super) prefix: String,
}

impl Places {
    /// Where a daemon with this configuration would look.
    pub(crate) fn of(config: &Config) -> Self {
        let mysql = &config.mysql;
        let namespace = &config.redis.namespace;
        Self {
            brokers: config.kafka.brokers.clone(),
            topic: config.kafka.topic_events(),
            view: ViewAddress {
                host: mysql.host.clone(),
                port: mysql.port,
                user: mysql.user.clone(),
                password: mysql.password.clone(),
                database: mysql.database.clone(),
            },
            redis: servers(&config.redis.url),
            prefix: if namespace.is_empty() { String::new() } else { format!("{namespace}:") },
        }
    }

    /// Versions of the stores that answer, and of the daemons that are listed in MySQL.
    pub(crate) async fn versions(&self) -> BTreeMap<String, String> {
        let mysql = async {
            let pool = view::connect(&self.view).await.ok()?;
            let (version, daemons) = (view::version(&pool).await.ok(), view::daemons(&pool).await.ok());
            pool.close().await;
            Some((version, daemons.unwrap_or_default()))
        };
        let (redis, mysql) = tokio::join!(gate::versions(&self.redis), mysql);
        let (mysql, daemons) = mysql.unwrap_or_default();
        let some = |found: Vec<String>| (!found.is_empty()).then(|| found.join(", "));
        let versions = [("redis", some(redis)), ("mysql", mysql), ("flashd", some(daemons))];
        versions.into_iter().filter_map(|(name, version)| Some((name.to_owned(), version?))).collect()
    }

    /// Asks each store one question; says which did not answer, and why.
    pub(crate) async fn silent(&self, skus: &[u64]) -> Vec<String> {
        let log = async {
            match read_log::ends(&self.brokers, &self.topic).await {
                Ok(ends) if ends.is_empty() => Err(format!("there is no topic {}", self.topic)),
                Ok(_) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        };
        let view = async {
            let pool = view::connect(&self.view).await.map_err(|error| error.to_string())?;
            let applied = view::applied(&pool, &self.topic).await;
            pool.close().await;
            applied.map(drop).map_err(|error| error.to_string())
        };
        let gate = async { gate::read(&self.redis, &self.prefix, skus).await.map(drop).map_err(|e| e.to_string()) };
        let (log, view, gate) = tokio::join!(within(log), within(view), within(gate));
        let at_mysql = format!("MySQL at {}:{}", self.view.host, self.view.port);
        let at_kafka = format!("Kafka at {}", self.brokers);
        let asked = [(at_kafka, log), (at_mysql, view), ("Redis".to_owned(), gate)];
        asked.into_iter().filter_map(|(name, result)| Some(format!("{name}: {}", result.err()?))).collect()
    }
}

async fn within(question: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    timeout(ANSWERS_WITHIN, question).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

/// `redis://login@A,B/db` as one URL for each of them; a cluster's nodes likewise.
fn servers(url: &str) -> Vec<String> {
    let Some(rest) = url.strip_prefix(CLUSTER).or_else(|| url.strip_prefix(SERVERS)) else {
        return vec![url.to_owned()];
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, hosts) = authority.rfind('@').map_or(("", authority), |at| authority.split_at(at + 1));
    hosts.split(',').map(|host| format!("{SERVERS}{login}{}{path}", host.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::servers;

    #[test]
    fn every_server_has_its_url() {
        assert_eq!(servers("redis://u:p@a:1,b:2/3"), ["redis://u:p@a:1/3", "redis://u:p@b:2/3"]);
        assert_eq!(servers("redis-cluster://a:1, b:2"), ["redis://a:1", "redis://b:2"]);
        assert_eq!(servers("rediss://a:1"), ["rediss://a:1"]);
    }
}

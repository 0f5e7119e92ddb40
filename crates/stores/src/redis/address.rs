//! What `REDIS_URL` says: one server, several of which one is the primary, or a cluster.

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

const CLUSTER_SCHEME: &str = "redis-cluster://";
const SCHEME: &str = "redis://";

/// Where Redis is.
#[derive(Debug, Clone)]
pub(super) enum Topology {
    /// These servers, of which one is the primary.
    Candidates(Vec<ConnectionInfo>),
    /// A cluster of which these nodes can be asked who else there is.
    Cluster(Vec<ConnectionInfo>),
}

impl Topology {
    /// Reads `redis://[user:password@]host[:port][,host[:port]…][/db]`, or `redis-cluster://` with the same but the db.
    ///
    /// # Errors
    /// What cannot be read, without the password.
    pub(super) fn read(url: &str) -> Result<Self, String> {
        let (cluster, rest) = match (url.strip_prefix(CLUSTER_SCHEME), url.strip_prefix(SCHEME)) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Ok(Self::Candidates(vec![info(url)?])),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if cluster && !matches!(path, "" | "/") {
            return Err("a cluster has no database numbers".to_owned());
        }
        let (login, hosts) = authority.rfind('@').map_or(("", authority), |at| authority.split_at(at + 1));
        let servers = hosts.split(',').map(|host| info(&format!("{SCHEME}{login}{}{path}", host.trim())));
        let servers = servers.collect::<Result<Vec<_>, _>>()?;
        Ok(if cluster { Self::Cluster(servers) } else { Self::Candidates(servers) })
    }
}

/// Whether a gate could be made of this URL.
#[must_use]
pub fn is_address(url: &str) -> bool {
    Topology::read(url).is_ok()
}

fn info(url: &str) -> Result<ConnectionInfo, String> {
    url.into_connection_info().map_err(|error| error.to_string())
}

/// `host:port`, for people and as a name.
pub(super) fn name(server: &ConnectionInfo) -> String {
    server.addr().to_string()
}

/// The same login at another address.
pub(super) fn at(server: &ConnectionInfo, address: &str) -> Option<ConnectionInfo> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = ConnectionAddr::Tcp(host.to_owned(), port.parse().ok()?);
    Some(server.clone().set_addr(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(url: &str) -> Vec<ConnectionInfo> {
        match Topology::read(url).unwrap() {
            Topology::Candidates(servers) => servers,
            Topology::Cluster(_) => panic!("{url} is no cluster"),
        }
    }

    #[test]
    fn one_server_is_read_as_ever() {
        let one = candidates("redis://:pw@h:7000/2").remove(0);
        assert_eq!((name(&one).as_str(), one.redis_settings().db()), ("h:7000", 2));
        assert_eq!(name(&candidates("redis://h")[0]), "h:6379");
        assert_eq!(candidates("redis+unix:///run/redis.sock").len(), 1);
    }

    #[test]
    fn several_share_login_and_database() {
        let both = candidates("redis://u:p%40w@a:1,b/3");
        assert_eq!(both.iter().map(name).collect::<Vec<_>>(), ["a:1", "b:6379"]);
        for one in &both {
            let settings = one.redis_settings();
            assert_eq!((settings.username(), settings.password(), settings.db()), (Some("u"), Some("p@w"), 3));
        }
    }

    #[test]
    fn a_cluster_has_nodes_and_no_database() {
        let Topology::Cluster(nodes) = Topology::read("redis-cluster://:pw@a:1,[::1]:2").unwrap() else { panic!() };
        assert_eq!(nodes.len(), 2);
        let moved = at(&nodes[0], "10.0.0.9:7001").unwrap();
        assert_eq!((name(&moved).as_str(), moved.redis_settings().password()), ("10.0.0.9:7001", Some("pw")));
        assert!(Topology::read("redis-cluster://a/2").is_err());
        for bad in ["", "h:1", "http://h", "redis://", "redis://a,,b", "redis://a:x"] {
            assert!(Topology::read(bad).is_err(), "{bad}");
        }
    }
}

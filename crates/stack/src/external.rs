//! Addresses of servers that somebody else runs, read from their URLs.

use crate::{MysqlLogin, StackError};

const REDIS_PORT: u16 = 6379;
const MYSQL_PORT: u16 = 3306;

/// `host:port` of each server a Redis URL names, separated by commas.
pub(crate) fn redis(url: &str) -> Result<String, StackError> {
    let bad = |reason: &str| StackError::BadAddress {
        what: "Redis URL",
        value: without_password(url),
        reason: reason.to_owned(),
    };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| bad("expected redis://HOST:PORT"))?;
    if !matches!(scheme, "redis" | "redis-cluster") {
        return Err(bad("expected redis:// or redis-cluster://; TLS is not built in"));
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host_port)| host_port);
    let addresses = host_port.split(',').map(|one| host_and_port(one.trim(), REDIS_PORT));
    let addresses: Option<Vec<String>> =
        addresses.map(|one| one.map(|(host, port)| format!("{host}:{port}"))).collect();
    Ok(addresses.ok_or_else(|| bad("no usable host and port"))?.join(","))
}

/// The login in a MySQL URL.
pub(crate) fn mysql(url: &str) -> Result<MysqlLogin, StackError> {
    let bad = |reason: &str| StackError::BadAddress {
        what: "MySQL URL",
        value: without_password(url),
        reason: reason.to_owned(),
    };
    let rest = url.strip_prefix("mysql://").ok_or_else(|| bad("expected mysql://USER:PASSWORD@HOST:PORT/DATABASE"))?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, database) = rest.split_once('/').ok_or_else(|| bad("no database named"))?;
    if database.is_empty() {
        return Err(bad("no database named"));
    }
    let (user, host_port) = authority.rsplit_once('@').ok_or_else(|| bad("no user named"))?;
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    let (host, port) = host_and_port(host_port, MYSQL_PORT).ok_or_else(|| bad("no usable host and port"))?;
    let decode = |text: &str| percent_decoded(text).ok_or_else(|| bad("broken percent encoding"));
    Ok(MysqlLogin {
        host: host.to_owned(),
        port,
        user: decode(user)?,
        password: decode(password)?,
        database: decode(database)?,
    })
}

fn host_and_port(text: &str, default_port: u16) -> Option<(&str, u16)> {
    // An IPv6 address stands in brackets and has colons of its own.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok().filter(|port| *port > 0)?),
        _ => (text, default_port),
    };
    (!host.is_empty()).then_some((host, port))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// For error messages, which end up in logs.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mysql_url_is_a_login() {
        let login = mysql("mysql://buyer:p%40ss@db.example:3307/sale?ssl=1").unwrap();
        assert_eq!(login.user, "buyer");
        assert_eq!(login.password, "p@ss");
        assert_eq!((login.host.as_str(), login.port), ("db.example", 3307));
        assert_eq!(login.database, "sale");
        assert_eq!(mysql("mysql://root@h/d").unwrap().port, MYSQL_PORT);
    }

    #[test]
    fn bad_urls_are_refused_without_telling_the_password() {
        for bad in ["", "h:1", "mysql://h/d", "mysql://u:secret@h:0/d", "mysql://u:secret@h", "mysql://u:%zz@h/d"] {
            let message = mysql(bad).unwrap_err().to_string();
            assert!(!message.contains("secret"), "{message}");
        }
        for bad in ["", "h:6379", "http://h", "rediss://h", "redis://", "redis://h:0", "redis://a,,b"] {
            assert!(redis(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_redis_url_has_an_address() {
        assert_eq!(redis("redis://:pw@h:7000/2").unwrap(), "h:7000");
        assert_eq!(redis("redis://h").unwrap(), "h:6379");
        assert_eq!(redis("redis-cluster://a:1,b").unwrap(), "a:1,b:6379");
        assert_eq!(redis("redis://[::1]:7000").unwrap(), "[::1]:7000");
        assert_eq!(redis("redis://[::1]").unwrap(), "[::1]:6379");
    }
}

//! What may be shown of a value: nothing of a secret, and of a URL everything but its password.
//!
//! It need not be a good URL. What is refused is shown as well, and a mistyped one has the same password in it.

/// Shown instead of a secret.
const MASK: &str = "********";

pub(super) fn shown(value: &str, is_secret: bool) -> String {
    if is_secret && !value.is_empty() { MASK.to_owned() } else { without_password(value) }
}

/// All from the first colon of the login to the last `@`, because a password that was not escaped may have colons, slashes
/// and `@` in it. The login of a URL is masked without a colon too: it is as likely a password whose colon was forgotten.
fn without_password(value: &str) -> String {
    let (scheme, rest) = value.split_at(value.find("://").map_or(0, |at| at + "://".len()));
    let (login, place) = rest.split_at(rest.rfind('@').unwrap_or(0));
    let user = login.split_once(':').map(|(user, _)| format!("{user}:")).unwrap_or_default();
    let harmless = login.is_empty() || (scheme.is_empty() && user.is_empty());
    let login = if harmless { login.to_owned() } else { format!("{user}{MASK}") };
    format!("{scheme}{login}{}", without_parameter(place))
}

/// A Unix socket has its password behind `?pass=`.
fn without_parameter(place: &str) -> String {
    let Some((before, parameters)) = place.split_once('?') else { return place.to_owned() };
    let parameters = parameters.split('&').map(|one| match one.split_once('=') {
        Some((name, _)) if name.starts_with("pass") => format!("{name}={MASK}"),
        _ => one.to_owned(),
    });
    format!("{before}?{}", parameters.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_url_loses_its_password_and_nothing_else() {
        for (url, told) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
            ("redis://:secret@a:1,b:2/3", "redis://:********@a:1,b:2/3"),
            ("redis-cluster://u:secret@a:1", "redis-cluster://u:********@a:1"),
            ("redis://u:sec/r:e@t@a:1", "redis://u:********@a:1"),
            ("redis://secret@a:1", "redis://********@a:1"),
            ("u:secret@a", "u:********@a"),
            ("redis+unix:///run/redis.sock?db=1&pass=secret", "redis+unix:///run/redis.sock?db=1&pass=********"),
            ("info,flashd=debug", "info,flashd=debug"),
            ("user@tenant", "user@tenant"),
            ("", ""),
        ] {
            assert_eq!(shown(url, false), told);
        }
        assert_eq!((shown("x", true).as_str(), shown("", true).as_str()), ("********", ""));
    }
}

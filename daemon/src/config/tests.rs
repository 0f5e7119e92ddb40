//! The rules of [`Config::read`]: what it takes, and what it refuses with which words.

use super::*;

fn with(pairs: &[(&str, &str)]) -> Result<Config, SettingsError> {
    let look_up = |flag: &str| pairs.iter().find(|(name, _)| *name == flag).map(|(_, value)| (*value).to_owned());
    Config::read(&Settings::layer(look_up, |_| None, None)?)
}

#[test]
fn the_defaults_are_a_working_configuration() {
    let config = with(&[]).unwrap();
    assert_eq!((config.role, config.http.listen.port()), (Role::All, 3000));
    assert_eq!(config.epoch_lease, Duration::from_millis(limits::EPOCH_LEASE_MS));
    assert_eq!(config.http.answer_timeout, Duration::from_millis(limits::ACK_WAIT_MS));
    assert_eq!(config.redis.timeout, Duration::from_millis(limits::REDIS_TIMEOUT_MS));
    assert_eq!(config.recorder.message_timeout, Duration::from_millis(limits::KAFKA_MESSAGE_TIMEOUT_MS));
    assert_eq!(config.webhook.tolerance, Duration::from_millis(limits::WEBHOOK_TOLERANCE_MS));
    assert_eq!(config.audit_every, Duration::from_millis(limits::AUDIT_EVERY_MS));
    assert_eq!(config.http.in_flight_max, limits::IN_FLIGHT_MAX);
    assert_eq!(config.http.connections_max, limits::CONNECTIONS_MAX);
}

#[test]
fn the_admin_plane_leaves_loopback_with_a_token_or_read_only() {
    let everywhere = ("admin-bind", "0.0.0.0");
    let refused = with(&[everywhere]).unwrap_err().to_string();
    assert!(refused.contains("FLASH_ADMIN_TOKEN"), "{refused}");
    assert!(with(&[everywhere, ("admin-read-only", "true")]).is_ok());
    let config = with(&[everywhere, ("admin-token", "0123456789abcdef")]).unwrap();
    assert!(config.admin.token.is_some() && !format!("{config:?}").contains("0123456789abcdef"));
    for token in ["short", "has a blank in the middle", "ümlaute gehen hier nicht"] {
        let refused = with(&[("admin-token", token)]).unwrap_err().to_string();
        assert!(!refused.contains(token) && refused.contains("FLASH_ADMIN_TOKEN"), "{refused}");
    }
    for (url, good) in
        [("http://10.0.0.7:3900/", true), ("http://[::1]:1", true), ("10.0.0.7:3900", false), ("http://a", false)]
    {
        assert_eq!(with(&[("admin-advertise", url)]).is_ok(), good, "{url}");
    }
}

#[test]
fn dangerous_combinations_are_refused() {
    for pairs in [
        [("answer-timeout", "5s"), ("epoch-lease", "5s")],
        [("redis-timeout", "4s"), ("answer-timeout", "4s")],
        [("kafka-message-timeout", "3s"), ("answer-timeout", "4s")],
    ] {
        assert!(matches!(with(&pairs), Err(SettingsError::Combination(_))), "{pairs:?}");
    }
    for pair in [("namespace", "a.b"), ("namespace", "{x}"), ("node-id", "1024"), ("role", "boss"), ("port", "70000")] {
        assert!(matches!(with(&[pair]), Err(SettingsError::Value { .. })), "{pair:?}");
    }
}

/// What `--check-config` lets pass must not fail at the start.
#[test]
fn nonsense_is_refused_before_anything_is_contacted() {
    for (flag, bad) in [
        ("redis-url", &["", "http://h", "redis://h:abc", "redis://a,,b", "redis-cluster://h/2"][..]),
        ("kafka-brokers", &["", "a b:1", ":9092", "a:99999", "a:9092,,b:9092", "a:9092,"]),
        ("mysql-host", &["", "a b"]),
        ("mysql-port", &["", "0", "65536"]),
        ("mysql-user", &["", "a\nb"]),
        ("mysql-database", &[""]),
        ("log", &["", "debgu", "flashd=loud", "info,"]),
        ("log-format", &["", "xml"]),
    ] {
        for text in bad {
            assert!(matches!(with(&[(flag, text)]), Err(SettingsError::Value { .. })), "{flag} {text:?}");
        }
    }
    for (flag, good) in [
        ("redis-url", "redis-cluster://u:p@a:1,b:2"),
        ("kafka-brokers", "a:9092, [::1]:9093,kafka-3.local"),
        ("log", "warn,flashd=debug"),
    ] {
        assert!(with(&[(flag, good)]).is_ok(), "{flag} {good}");
    }
}

#[test]
fn a_refused_redis_url_keeps_its_password() {
    let refused = with(&[("redis-url", "redis://u:opensesame@h:port")]).unwrap_err().to_string();
    assert!(refused.contains("redis://u:********@h:port") && !refused.contains("opensesame"), "{refused}");
}

//! Doing it: one planned fault from its beginning to the moment at which the part is back.
//!
//! Each fault undoes itself. What cannot be undone – a server that does not start again – fails the run.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    daemons::Daemon,
    kind::{Kind, Link},
    schedule::Planned,
    servers::{Servers, resp},
};
use crate::report::Failure;

/// Injects one fault and returns when it is over.
pub(super) async fn inject(one: &Planned, servers: &Servers, daemons: &[Daemon]) -> Result<(), Failure> {
    let lasts = Duration::from_millis(one.lasts_ms);
    match one.kind {
        Kind::FlashdKill => {
            daemons[one.target].kill9(lasts);
            sleep(lasts).await;
        }
        Kind::FlashdPause => {
            daemons[one.target].pause();
            sleep(lasts).await;
            daemons[one.target].resume();
        }
        Kind::RedisKill => {
            let index = servers.primary();
            servers.redis(index).kill9().await?;
            servers.forget_snapshot(index)?;
            sleep(lasts).await;
            servers.redis(index).restart().await?;
        }
        Kind::RedisOldRdb => old_snapshot(one, servers, lasts).await?,
        Kind::RedisFlush => resp(servers.redis(servers.primary()).address(), &["FLUSHALL"]).await?,
        Kind::RedisPause => pause(servers.redis(servers.primary()), lasts).await?,
        Kind::RedisFailover | Kind::RedisSplitBrain => fail_over(one, servers, daemons, lasts).await?,
        Kind::KafkaKill => kill(servers.stack.kafka(), lasts).await?,
        Kind::KafkaPause => pause(servers.stack.kafka(), lasts).await?,
        Kind::MysqlKill => kill(servers.stack.mysql(), lasts).await?,
        Kind::MysqlPause => pause(servers.stack.mysql(), lasts).await?,
        Kind::Net(link, bad) => {
            let proxy = match link {
                Link::Redis => &daemons[one.target].redis,
                Link::Mysql => &daemons[one.target].mysql,
                Link::Kafka => &servers.kafka,
            };
            proxy.set(bad.weather(one.much)).await;
            sleep(lasts).await;
            proxy.heal().await;
        }
    }
    Ok(())
}

async fn kill(server: &flash_stack::Server, lasts: Duration) -> Result<(), Failure> {
    server.kill9().await?;
    sleep(lasts).await;
    Ok(server.restart().await?)
}

async fn pause(server: &flash_stack::Server, lasts: Duration) -> Result<(), Failure> {
    server.pause()?;
    sleep(lasts).await;
    Ok(server.resume()?)
}

/// Snapshot, a while of selling, kill, a short break, and back with the snapshot: the tail is lost.
async fn old_snapshot(one: &Planned, servers: &Servers, lasts: Duration) -> Result<(), Failure> {
    let index = servers.primary();
    let server = servers.redis(index);
    servers.forget_snapshot(index)?;
    resp(server.address(), &["SAVE"]).await?;
    let tail = Duration::from_millis(100 + one.much * 2).min(lasts);
    sleep(tail).await;
    server.kill9().await?;
    // A Redis that is back at once is the harder case: nobody may have noticed.
    sleep((lasts - tail) / 8).await;
    server.restart().await?;
    servers.forget_snapshot(index)?;
    sleep((lasts - tail) * 7 / 8).await;
    Ok(())
}

/// The replica is promoted and misses what the primary still does (up to a second); then daemons are sent to it – all at
/// once, or one after the other while connections to the old primary live on. In the end the old one is a replica.
async fn fail_over(one: &Planned, servers: &Servers, daemons: &[Daemon], lasts: Duration) -> Result<(), Failure> {
    let old = servers.primary();
    let new = 1 - old;
    resp(servers.redis(new).address(), &["REPLICAOF", "NO", "ONE"]).await?;
    let lag = Duration::from_millis(one.much).min(lasts / 2);
    sleep(lag).await;
    servers.set_primary(new);
    let rest = lasts - lag;
    let move_on = |daemon: &'_ Daemon| daemon.redis.set_target(servers.redis(new).address());
    if one.kind == Kind::RedisSplitBrain {
        let step = rest / (u32::try_from(daemons.len()).unwrap_or(1) + 1);
        for daemon in daemons {
            sleep(step).await;
            // Until here it also comes back to the old one when it connects anew.
            move_on(daemon);
            daemon.redis.disconnect().await;
        }
        sleep(step).await;
    } else {
        for daemon in daemons {
            move_on(daemon);
            daemon.redis.disconnect().await;
        }
        sleep(rest).await;
    }
    servers.follow(old).await
}

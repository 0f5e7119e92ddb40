//! The metrics of the servers, as this process sees them.

use crate::app::App;
use crate::meters::definitions as is;
use crate::meters::text::{Page, seconds};
use flash_core::stats::{Breaker, KafkaStats, MySqlStats, RedisNode, RedisStats, Stores};
use std::fmt::Display;

pub(super) fn write(app: &App, page: &mut Page) {
    let Stores { redis, kafka, mysql } = crate::meters::stores(app);
    asked_of_redis(&redis, page);
    redis_nodes(&redis.nodes, page);
    log(&kafka, page);
    view(&mysql, page);
}

fn asked_of_redis(redis: &RedisStats, page: &mut Page) {
    let mut took = page.family(&is::REDIS_DURATION);
    for (operation, stats) in &redis.operations {
        took.histogram(&[operation], &stats.took);
    }
    let mut errors = page.family(&is::REDIS_ERRORS);
    for (operation, stats) in &redis.operations {
        errors.sample(&[operation], stats.errors);
    }
    page.number(&is::REDIS_BREAKER_OPEN, u8::from(redis.breaker != Breaker::Closed));
    page.number(&is::REDIS_BREAKER_OPENED, redis.breaker_opened);
}

fn redis_nodes(nodes: &[RedisNode], page: &mut Page) {
    fn each<N: Display>(page: &mut Page, metric: &'static is::Metric, nodes: &[RedisNode], of: fn(&RedisNode) -> N) {
        let mut family = page.family(metric);
        nodes.iter().for_each(|node| family.sample(&[&node.address], of(node)));
    }
    each(page, &is::REDIS_MEMORY_USED, nodes, |node| node.used_memory_bytes);
    each(page, &is::REDIS_MEMORY_MAX, nodes, |node| node.max_memory_bytes);
    each(page, &is::REDIS_EVICTED, nodes, |node| node.evicted_keys);
    each(page, &is::REDIS_CLIENTS, nodes, |node| node.clients);
    each(page, &is::REDIS_REPLICAS, nodes, |node| node.replicas);
    each(page, &is::REDIS_COMMANDS, nodes, |node| node.ops_per_s);
    each(page, &is::REDIS_SEEN, nodes, |node| seconds(node.seen_ms_ago));
}

fn log(kafka: &KafkaStats, page: &mut Page) {
    page.durations(&is::KAFKA_PRODUCE, &kafka.produce);
    page.number(&is::KAFKA_ACKNOWLEDGED, kafka.acknowledged);
    page.number(&is::KAFKA_FAILED, kafka.failed);
    page.number(&is::KAFKA_UNACKNOWLEDGED, kafka.unacknowledged);
    page.number(&is::KAFKA_PARTITIONS, kafka.partitions);
    page.number(&is::KAFKA_REPLACED, kafka.producers_replaced);
}

fn view(mysql: &MySqlStats, page: &mut Page) {
    page.number(&is::MYSQL_UP, u8::from(mysql.problem.is_none()));
    let mut pool = page.family(&is::MYSQL_POOL);
    pool.sample(&["used"], mysql.pool_open.saturating_sub(mysql.pool_idle));
    pool.sample(&["idle"], mysql.pool_idle);
    page.number(&is::MYSQL_POOL_MAX, mysql.pool_max);
    page.durations(&is::MYSQL_PING, &mysql.ping);
}

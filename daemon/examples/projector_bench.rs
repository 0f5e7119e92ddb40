//! How fast the projector is, alone: real MariaDB, real broker, nothing else running.
//!
//! `cargo run --release -p flashd --example projector_bench -- [ORDERS] [PARTITIONS]`
//!
//! Writes ORDERS reservations to the log, projects them, then settles each (three quarters confirmed, the rest
//! expired) and projects that. Prints events per second for both, and what MySQL says the sums are.

use flash_core::event::{Body, Event, Order};
use flash_core::ids::{Epoch, OrderId, ReservationId, SkuId, UserId};
use flash_core::order::OrderState;
use flash_core::payment::{Payment, PaymentId};
use flash_stack::{Stack, StackOptions};
use flash_stores::kafka::{KafkaSettings, admin};
use flash_stores::mysql::{Db, MySqlSettings, migrate, orders};
use flashd::projector::{ProjectorOptions, catch_up};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use std::time::{Duration, Instant};

const SKU: SkuId = SkuId::new(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(400_000), |text| text.parse())?;
    let partitions: i32 = arguments.next().map_or(Ok(8), |text| text.parse())?;

    let stack = Stack::start(StackOptions::default()).await?;
    let login = stack.mysql_login().clone();
    let options = ProjectorOptions {
        kafka: KafkaSettings { brokers: stack.kafka().address().to_owned(), namespace: String::new() },
        mysql: MySqlSettings {
            host: login.host,
            port: login.port,
            user: login.user,
            password: login.password,
            database: "projector_bench".into(),
            ..MySqlSettings::default()
        },
    };
    migrate::apply(&options.mysql).await?;
    admin::create(&options.kafka, &admin::required(&options.kafka, partitions, 1)).await?;

    produce(&options.kafka, partitions, 1..=count, |_| OrderState::Reserved)?;
    measure("reservations", count, &options).await?;
    let settled = |id: u64| if id.is_multiple_of(4) { OrderState::Expired } else { OrderState::Confirmed };
    produce(&options.kafka, partitions, 1..=count, settled)?;
    measure("settlements", count, &options).await?;

    let (held, sold) = orders::occupied(&Db::open(&options.mysql), SKU).await?;
    println!("held {held}, sold {sold} of {count}");
    if (held, sold) != (0, count - count / 4) {
        return Err("MySQL does not hold what the log says".into());
    }
    stack.stop().await;
    Ok(())
}

async fn measure(what: &str, count: u64, options: &ProjectorOptions) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let ends = catch_up(options, Duration::from_secs(600)).await?;
    let took_ms = started.elapsed().as_millis().max(1);
    println!("{count} {what} in {took_ms} ms = {} per second", u128::from(count) * 1000 / took_ms);
    println!("  log ends: {ends:?}");
    Ok(())
}

fn produce(
    kafka: &KafkaSettings,
    partitions: i32,
    ids: impl Iterator<Item = u64>,
    state: impl Fn(u64) -> OrderState,
) -> Result<(), Box<dyn std::error::Error>> {
    let producer: ThreadedProducer<_> = ClientConfig::new()
        .set("bootstrap.servers", &kafka.brokers)
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        .create()?;
    let topic = kafka.topic_events();
    for id in ids {
        let payload = event(id, state(id)).encode()?;
        let partition = i32::try_from(id % u64::from(partitions.unsigned_abs()))?;
        loop {
            match producer.send(BaseRecord::<str, _>::to(&topic).partition(partition).payload(&payload)) {
                Ok(()) => break,
                Err((error, _)) if error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::QueueFull) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    Ok(producer.flush(Duration::from_secs(120))?)
}

fn event(id: u64, state: OrderState) -> Event {
    let at_ms = 1_700_000_000_000 + id;
    let order = Order {
        order_id: OrderId::new(id << 10),
        reservation_id: ReservationId::new((id << 10) + 1),
        // Spread like real buyers, so that the key by user is written all over.
        user_id: UserId::new(id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2),
        sku_id: SKU,
        quantity: 1,
        unit_price_minor: 4_900,
        seq: id,
        idempotency_key: format!("{id:016x}-4c1d-8f1e-0123456789ab"),
        reserved_at_ms: at_ms,
        expires_at_ms: at_ms + 300_000,
    };
    let payment = (state == OrderState::Confirmed).then(|| Payment {
        payment_id: PaymentId::parse(&format!("pay-{id}")).unwrap_or_else(|| unreachable!("letters and digits")),
        amount_minor: 4_900,
        paid_order: order.order_id,
    });
    Event { epoch: Epoch(1), at_ms, body: Body::Order { state, seq: id, order, payment } }
}

//! Every bound of the system in one place, with the relations between them asserted at compile time.
//!
//! A bound that can be configured has its default and its permitted range here; a bound that cannot is a plain constant.

/// Most units one purchase may ask for.
pub const QUANTITY_MAX: u32 = 10;
/// Longest idempotency key, in bytes; keys are visible ASCII, so bytes are characters.
pub const IDEMPOTENCY_KEY_MAX_BYTES: usize = 128;
/// How long an idempotency key keeps its answer, in milliseconds (promise P4).
pub const IDEMPOTENCY_TTL_MS: u64 = 24 * 60 * 60 * 1000;
/// How long a key stays claimed for a SKU when its purchase did not win, in milliseconds. Short, so that refusals cost no
/// lasting memory; longer than any purchase takes to be decided and recorded.
pub const CLAIM_TTL_MS: u64 = 60_000;
/// Longest payment id, in bytes; visible ASCII, so bytes are characters.
pub const PAYMENT_ID_MAX_BYTES: usize = 100;
/// How long the fate of a payment is remembered next to the stock, in milliseconds; afterwards MySQL answers.
pub const PAYMENT_TTL_MS: u64 = IDEMPOTENCY_TTL_MS;
/// How old, or how far in the future, a webhook's timestamp may be if nobody says otherwise, in milliseconds.
pub const WEBHOOK_TOLERANCE_MS: u64 = 5 * 60 * 1000;
/// Beyond the end of its hold, how long Redis remembers which SKU an order belongs to, in milliseconds. By then it is in
/// MySQL.
pub const ORDER_INDEX_MARGIN_MS: u64 = 10 * 60 * 1000;
/// Largest request body the API reads, in bytes. The longest legal purchase is about 300 bytes.
pub const BODY_MAX_BYTES: usize = 4 * 1024;
/// Largest request head (request line and headers), in bytes.
pub const HEAD_MAX_BYTES: usize = 16 * 1024;
/// Most headers a request may carry.
pub const HEADERS_MAX: usize = 64;
/// How long a fresh connection may stay silent, in milliseconds.
pub const FIRST_BYTE_TIMEOUT_MS: u64 = 10_000;
/// How long a request head may take to arrive once it has begun, in milliseconds.
pub const HEAD_TIMEOUT_MS: u64 = 10_000;
/// How long a request body may take to arrive, in milliseconds.
pub const BODY_TIMEOUT_MS: u64 = 5_000;

/// Most purchases one Lua call decides. 256 take about 1 ms of Redis, the longest pause one SKU may impose on others.
pub const LANE_BATCH_MAX: usize = 256;
/// Most purchases waiting in one SKU's lane; beyond it the answer is `OVERLOADED` at once.
pub const LANE_QUEUE_MAX: usize = 8_192;
/// Most purchases between admission and answer in one daemon.
pub const IN_FLIGHT_MAX: usize = 32_768;
/// Most open API connections of one daemon.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Most SKUs in one sale. Unknown SKUs are answered from the catalogue and cost no memory.
pub const SKUS_MAX: usize = 100_000;
/// Largest capacity of one SKU.
pub const CAPACITY_MAX: u32 = 10_000_000;
/// Largest price of one unit, in minor units of its currency.
pub const PRICE_MAX_MINOR: u64 = 100_000_000_000;

/// Token bucket per buyer and SKU: how many purchases may come at once.
pub const RATE_BURST: u32 = 20;
/// Token bucket per buyer and SKU: how many purchases per second are sustained.
pub const RATE_PER_SECOND: u32 = 5;

/// Default time a unit is held for payment, in milliseconds.
pub const HOLD_DEFAULT_MS: u64 = 5 * 60 * 1000;
/// Shortest hold, in milliseconds.
pub const HOLD_MIN_MS: u64 = 1_000;
/// Longest hold, in milliseconds. It must end before its idempotency key does.
pub const HOLD_MAX_MS: u64 = 12 * 60 * 60 * 1000;

/// Default length of the epoch lease (D), in milliseconds.
pub const EPOCH_LEASE_MS: u64 = 5_000;
/// The end of `stock-epochs` is queried this many times per lease.
pub const EPOCH_QUERIES_PER_LEASE: u64 = 10;

/// How long the daemon waits for Redis before the outcome of a batch is unknown, in milliseconds.
pub const REDIS_TIMEOUT_MS: u64 = 1_000;
/// How long a buyer waits for Kafka's acknowledgement before the answer is `OUTCOME_UNKNOWN`, in milliseconds.
pub const ACK_WAIT_MS: u64 = 4_000;
/// How long the Kafka client keeps trying to deliver an event, in milliseconds.
pub const KAFKA_MESSAGE_TIMEOUT_MS: u64 = 30_000;
/// Most events queued in the Kafka client.
pub const KAFKA_QUEUE_MAX: usize = 100_000;

/// How long a node id stays leased without renewal, in milliseconds: a MySQL outage shorter than this changes nothing.
pub const NODE_LEASE_MS: u64 = 60 * 60 * 1000;
/// Node ids that exist (10 bits of a Snowflake).
pub const NODE_IDS: u16 = 1024;

/// How long a settlement that was begun may stay unfinished before any sweeper takes it over, in milliseconds.
pub const SETTLE_TAKEOVER_MS: u64 = 10_000;
/// Most holds one call of a sweeper takes. 256 take about 2 ms of Redis.
pub const SWEEP_BATCH_MAX: usize = 256;
/// Most settlements of one sweeper between their event and its acknowledgement. While Kafka is away no more are begun.
pub const SWEEP_IN_FLIGHT_MAX: usize = 4_096;
/// How long after its decision an event may still be handed to the Kafka client, in milliseconds. A daemon that comes to it
/// later was frozen, its buyer has been told "unknown" long ago, and the hold is left to a retry or to its end.
pub const RECORD_WITHIN_MS: u64 = 10_000;
/// Everything that ended or was begun so long ago (ms) must be back or finished by now, whatever has died (promise P3).
pub const RELEASE_WITHIN_MS: u64 = 30_000;
/// How often a worker audits the books by itself if nobody says otherwise, in milliseconds.
pub const AUDIT_EVERY_MS: u64 = 60_000;
/// How often one dead letter may be replayed without force.
pub const REPLAYS_MAX: u32 = 5;

/// How long MySQL waits for a row lock before it refuses the statement, in whole seconds.
pub const MYSQL_LOCK_WAIT_S: u64 = 10;
/// How long an answer of MySQL is waited for, in milliseconds, to a statement that finds its rows by an index or writes a few.
pub const MYSQL_ANSWER_MS: u64 = 15_000;
/// The same for a statement that adds up whole tables, in milliseconds.
pub const MYSQL_SUM_MS: u64 = 5 * 60 * 1000;
/// How often whoever fills Redis or audits asks MySQL whether its lock is still held, in milliseconds.
pub const NAMED_LOCK_PING_EVERY_MS: u64 = 5_000;
/// How long it waits for that answer before it gives up what it does under the lock, in milliseconds.
pub const NAMED_LOCK_PING_WAIT_MS: u64 = 10_000;
/// After how long MySQL gives the lock of a holder that says nothing to others, in whole seconds.
pub const NAMED_LOCK_SILENCE_S: u64 = 30;

/// Most events the projector folds into one MySQL transaction.
pub const PROJECTOR_BATCH_MAX: usize = 2_000;

const _: () = {
    assert!(HOLD_MAX_MS < IDEMPOTENCY_TTL_MS, "a key must outlive the hold it answers for");
    assert!(CLAIM_TTL_MS > ACK_WAIT_MS + KAFKA_MESSAGE_TIMEOUT_MS, "a claim outlives the purchase it was made for");
    assert!(REDIS_TIMEOUT_MS < ACK_WAIT_MS, "the decision must fit into the answer");
    assert!(ACK_WAIT_MS < EPOCH_LEASE_MS, "an answer must not outlive the lease it was decided under");
    assert!(
        ACK_WAIT_MS < KAFKA_MESSAGE_TIMEOUT_MS,
        "a buyer's patience is only a latency budget; the client decides fate"
    );
    assert!(KAFKA_MESSAGE_TIMEOUT_MS < HOLD_DEFAULT_MS, "an event must be settled before its hold may expire");
    assert!(LANE_QUEUE_MAX < IN_FLIGHT_MAX && LANE_BATCH_MAX <= LANE_QUEUE_MAX, "queues nest");
    assert!(IN_FLIGHT_MAX < KAFKA_QUEUE_MAX, "every admitted purchase finds room in the Kafka queue");
    assert!(2 * SETTLE_TAKEOVER_MS + ACK_WAIT_MS < 30_000, "P3: a unit is back on sale within 30 s of a crash");
    assert!(SWEEP_IN_FLIGHT_MAX + IN_FLIGHT_MAX < KAFKA_QUEUE_MAX, "sweeping and selling both find room in the queue");
    assert!(RECORD_WITHIN_MS >= ACK_WAIT_MS + 2 * REDIS_TIMEOUT_MS, "who is slow but not frozen still records");
    assert!(2 * SETTLE_TAKEOVER_MS + ACK_WAIT_MS < RELEASE_WITHIN_MS, "a takeover is over before it is called late");
    assert!(
        MYSQL_LOCK_WAIT_S * 1_000 < MYSQL_ANSWER_MS,
        "a statement that waits for a row lock is not taken for silence"
    );
    assert!(MYSQL_ANSWER_MS < MYSQL_SUM_MS, "sums take longer than single rows");
    assert!(
        NAMED_LOCK_PING_EVERY_MS + NAMED_LOCK_PING_WAIT_MS < NAMED_LOCK_SILENCE_S * 1_000,
        "a holder stops before others may begin"
    );
    assert!(RATE_BURST >= RATE_PER_SECOND, "a bucket holds at least one second");
};

-- The projection of the log `order-events`. Only the projector writes here, and always together with its offsets.

-- One row per order that the log knows of. The primary key grows with time, so inserts stay at the right edge of the tree.
CREATE TABLE orders (
    order_id         BIGINT UNSIGNED NOT NULL,
    reservation_id   BIGINT UNSIGNED NOT NULL,
    user_id          BIGINT UNSIGNED NOT NULL,
    sku_id           BIGINT UNSIGNED NOT NULL,
    quantity         INT UNSIGNED    NOT NULL,
    unit_price_minor BIGINT UNSIGNED NOT NULL,
    state            ENUM ('RESERVED', 'CONFIRMED', 'CANCELLED', 'EXPIRED') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- Epoch, stock sequence number and time of the event that put the order into its state.
    epoch            BIGINT UNSIGNED NOT NULL,
    seq              BIGINT UNSIGNED NOT NULL,
    updated_at_ms    BIGINT UNSIGNED NOT NULL,
    idempotency_key  VARCHAR(128)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    reserved_at_ms   BIGINT UNSIGNED NOT NULL,
    expires_at_ms    BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (order_id),
    KEY orders_by_user (user_id, order_id),
    KEY orders_by_sku (sku_id, state)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The ledger: append-only, one row per change of an order's stock. Per SKU the sum of `delta` is available − capacity:
-- RESERVED −quantity, CANCELLED and EXPIRED +quantity, CONFIRMED 0 (held becomes sold; the row keeps the sequence whole).
-- `seq` 0 marks a RESERVED row that was added because the log knows the order only by a later event.
CREATE TABLE inventory_audit (
    order_id     BIGINT UNSIGNED NOT NULL,
    reason       ENUM ('RESERVED', 'CONFIRMED', 'CANCELLED', 'EXPIRED') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    sku_id       BIGINT UNSIGNED NOT NULL,
    seq          BIGINT UNSIGNED NOT NULL,
    delta        INT             NOT NULL,
    epoch        BIGINT UNSIGNED NOT NULL,
    partition_id INT UNSIGNED    NOT NULL,
    offset_no    BIGINT UNSIGNED NOT NULL,
    at_ms        BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (order_id, reason),
    KEY audit_by_seq (sku_id, seq)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- How far the projection has come. Written by compare-and-set in the transaction of the rows it stands for.
CREATE TABLE projector_offsets (
    topic        VARCHAR(249)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    partition_id INT UNSIGNED    NOT NULL,
    next_offset  BIGINT UNSIGNED NOT NULL,
    -- The newest epoch whose fence has been passed in this partition; events of older epochs behind it are void.
    fence_epoch  BIGINT UNSIGNED NOT NULL,
    -- Everything that was in the partition by this wall-clock time is applied.
    applied_ms   BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (topic, partition_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Events of an older epoch behind a newer fence: recorded, never counted. Nobody was told 200 for them.
CREATE TABLE voided_events (
    topic        VARCHAR(249)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    partition_id INT UNSIGNED    NOT NULL,
    offset_no    BIGINT UNSIGNED NOT NULL,
    event_type   VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    epoch        BIGINT UNSIGNED NOT NULL,
    fence_epoch  BIGINT UNSIGNED NOT NULL,
    at_ms        BIGINT UNSIGNED NOT NULL,
    -- NULL for a fence that stands behind a newer one.
    order_id     BIGINT UNSIGNED NULL,
    user_id      BIGINT UNSIGNED NULL,
    sku_id       BIGINT UNSIGNED NULL,
    quantity     INT UNSIGNED    NULL,
    seq          BIGINT UNSIGNED NULL,
    PRIMARY KEY (topic, partition_id, offset_no),
    KEY voided_by_order (order_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

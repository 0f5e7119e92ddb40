-- What a ticket goes through after it was reserved: payments, changes of the terms of a sale, dead letters that were looked at.

-- Nothing is sold while this is set, whatever the window says.
ALTER TABLE skus ADD COLUMN paused BOOLEAN NOT NULL DEFAULT FALSE;

-- Money that arrived, projected from the log. A payment has one fate and never changes it here: giving money back is the
-- business of whoever took it.
CREATE TABLE payments (
    payment_id    VARCHAR(100)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- The order the buyer paid for.
    paid_order_id BIGINT UNSIGNED NOT NULL,
    -- The order it confirmed; another one if the payment came late and units were reserved again. NULL: it bought nothing.
    order_id      BIGINT UNSIGNED NULL,
    user_id       BIGINT UNSIGNED NOT NULL,
    sku_id        BIGINT UNSIGNED NOT NULL,
    amount_minor  BIGINT UNSIGNED NOT NULL,
    status        ENUM ('CAPTURED', 'REFUND_PENDING') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- Why it bought nothing; empty if it did.
    reason        VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    epoch         BIGINT UNSIGNED NOT NULL,
    at_ms         BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (payment_id),
    KEY payments_by_status (status, at_ms),
    KEY payments_by_paid_order (paid_order_id),
    KEY payments_by_order (order_id),
    KEY payments_by_sku (sku_id, at_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Who changed what about a sale, and why. Append-only, written in the transaction of the change.
CREATE TABLE sku_changes (
    change_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    sku_id    BIGINT UNSIGNED NOT NULL,
    -- capacity, price, currency, name, per_user, hold, window, paused or created
    what      VARCHAR(16)     CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    old_value VARCHAR(255)    NULL,
    new_value VARCHAR(255)    NULL,
    who       VARCHAR(128)    NOT NULL,
    why       VARCHAR(500)    NOT NULL,
    at_ms     BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (change_id),
    KEY changes_by_sku (sku_id, change_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What was done about a dead letter; without a row it is waiting. The letter itself stands in the log.
CREATE TABLE dead_letters (
    topic         VARCHAR(249)    CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    partition_id  INT UNSIGNED    NOT NULL,
    offset_no     BIGINT UNSIGNED NOT NULL,
    status        ENUM ('WAITING', 'REPLAYED', 'DROPPED') CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    attempts      INT UNSIGNED    NOT NULL DEFAULT 0,
    -- What the last replay failed with; empty if it did not.
    last_error    VARCHAR(1000)   NOT NULL DEFAULT '',
    who           VARCHAR(128)    NOT NULL,
    why           VARCHAR(500)    NOT NULL,
    updated_at_ms BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (topic, partition_id, offset_no)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

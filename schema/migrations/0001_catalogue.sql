-- What is on sale. Live counters are Redis' business; this is the definition they are filled from.
-- Every file here runs unchanged on MySQL 8.4 and MariaDB 10.11. Times are milliseconds since 1970, so no time zone can touch them.
CREATE TABLE skus (
    sku_id        BIGINT UNSIGNED NOT NULL,
    name          VARCHAR(200)    NOT NULL,
    price_minor   BIGINT UNSIGNED NOT NULL,
    currency      CHAR(3)         CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    capacity      INT UNSIGNED    NOT NULL,
    per_user      INT UNSIGNED    NOT NULL,
    hold_ms       BIGINT UNSIGNED NOT NULL,
    opens_at_ms   BIGINT UNSIGNED NULL,
    closes_at_ms  BIGINT UNSIGNED NULL,
    -- The epoch under which Redis was last filled with this SKU; NULL: never, so nothing of it can have been sold.
    loaded_epoch  BIGINT UNSIGNED NULL,
    -- Grows with every change of the definition, so that readers can tell an old copy from a new one.
    version       BIGINT UNSIGNED NOT NULL DEFAULT 1,
    created_at_ms BIGINT UNSIGNED NOT NULL,
    updated_at_ms BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (sku_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

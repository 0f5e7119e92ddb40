-- Which processes run and where they can be asked: for people and their tools, flashctl top first of all. No promise rests on
-- it.
CREATE TABLE daemons (
    -- A name that no other process ever has.
    instance      VARCHAR(96)       CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    role          VARCHAR(16)       CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    -- Its node id, once it has leased one; workers have none.
    node_id       SMALLINT UNSIGNED NULL,
    admin_url     VARCHAR(255)      NOT NULL,
    -- Workers have none.
    api_url       VARCHAR(255)      NULL,
    build         VARCHAR(64)       NOT NULL,
    -- Both by the database's clock.
    started_at_ms BIGINT UNSIGNED   NOT NULL,
    seen_at_ms    BIGINT UNSIGNED   NOT NULL,
    PRIMARY KEY (instance),
    KEY daemons_by_time (seen_at_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- What every audit has found, and what was repaired: flashctl reconcile --history.
CREATE TABLE reconcile_runs (
    run_id     BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
    at_ms      BIGINT UNSIGNED NOT NULL,
    took_ms    BIGINT UNSIGNED NOT NULL,
    who        VARCHAR(128)    NOT NULL,
    -- Empty if nothing was to be repaired.
    why        VARCHAR(500)    NOT NULL,
    epoch      BIGINT UNSIGNED NOT NULL,
    skus       INT UNSIGNED    NOT NULL,
    -- How many findings there were; the table keeps the first thousand of them.
    found      INT UNSIGNED    NOT NULL,
    fixed      INT UNSIGNED    NOT NULL,
    findings   MEDIUMTEXT      NOT NULL,
    repairs    MEDIUMTEXT      NOT NULL,
    PRIMARY KEY (run_id),
    KEY runs_by_time (at_ms)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

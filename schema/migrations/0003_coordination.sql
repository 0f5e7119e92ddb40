-- What the daemons agree on through the database: numbers for stock epochs, and who owns which node id.

-- One row; the number only grows.
CREATE TABLE stock_epochs (
    id         TINYINT UNSIGNED NOT NULL,
    last_epoch BIGINT UNSIGNED  NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT INTO stock_epochs (id, last_epoch) VALUES (1, 0);

-- Every node id has its row from the start, so taking one is a plain UPDATE and can never insert the same id twice.
CREATE TABLE node_leases (
    node_id        SMALLINT UNSIGNED NOT NULL,
    holder         VARCHAR(96)       CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    -- By the database's clock; 0: free.
    lease_until_ms BIGINT UNSIGNED   NOT NULL DEFAULT 0,
    -- The newest millisecond any holder has reported to have used in an id: the next holder starts after it.
    last_ms        BIGINT UNSIGNED   NOT NULL DEFAULT 0,
    PRIMARY KEY (node_id),
    KEY leases_by_holder (holder)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- 0 … 1023 without a recursive query, whose depth MySQL limits to 1,000.
INSERT INTO node_leases (node_id)
SELECT high.n * 32 + low.n
FROM (SELECT a.n * 8 + b.n AS n
      FROM (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) AS a
      CROSS JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3
                  UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7) AS b) AS high
CROSS JOIN (SELECT a.n * 8 + b.n AS n
      FROM (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) AS a
      CROSS JOIN (SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3
                  UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7) AS b) AS low;

#!/bin/bash
# The user of the metrics exporter: it may look at the server's state and at no table. Run once, by the image, when the data
# directory is created.
mysql --user=root --password="$(cat /run/secrets/mysql_root_password)" <<SQL
CREATE USER IF NOT EXISTS 'exporter'@'%' IDENTIFIED BY '$(cat /run/secrets/mysql_exporter_password)' WITH MAX_USER_CONNECTIONS 3;
GRANT PROCESS, REPLICATION CLIENT ON *.* TO 'exporter'@'%';
GRANT SELECT ON performance_schema.* TO 'exporter'@'%';
SQL

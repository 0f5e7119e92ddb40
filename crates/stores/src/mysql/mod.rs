//! The view: everything that is read from and written to MySQL or MariaDB.

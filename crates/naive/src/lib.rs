//! Three small shops as a competent developer would write them first – to compare `flashd` with. NOT PRODUCT CODE.
//!
//! They speak as much of the purchase API as buyers need, on real MySQL and real Redis, with what belongs to a decent first
//! version: a connection pool, prepared statements, a transaction where one would put it, a unique key against double clicks.
//! Nothing is slowed down and no mistake is put in; the mistakes are those of the designs:
//!
//! | shop | how it sells | what is wrong with it |
//! |---|---|---|
//! | [`Kind::ReadThenWrite`] | one transaction: `SELECT stock`, `UPDATE stock = ?`, `INSERT` order | two buyers read the same stock and both write "one less": **it oversells**, by as much as there are transactions at once |
//! | [`Kind::RowLock`] | the same with `SELECT … FOR UPDATE` | nothing; it is correct. Every buyer of a SKU waits for the commit of the one before: **it is slow**, and while it waits it holds a connection |
//! | [`Kind::RedisThenMysql`] | `DECRBY` in Redis, `INSERT` in MySQL, then the answer | correct while nothing breaks, and fast until MySQL is the limit. **A process that dies between the two loses the ticket** (taken in Redis, no order, nobody looks); a time-out of the `INSERT` is taken for a "no" and the ticket given back though the order may be there; a Redis that lost its last second **sells that second again**, for nothing compares it with the orders |
//!
//! None of them lets a hold expire, takes payments, caps a buyer, or says what happened: all of that would make them slower.
//!
//! [`Shop`] is whichever of them, [`serve`] the HTTP around it, [`Shop::orders`] its books.

mod http;
mod kind;
mod mysql;
mod redis_first;
mod shop;

pub use http::serve;
pub use kind::Kind;
pub use shop::{Order, Purchase, Shop, ShopError, Sold, Stores};

//! Selling, end to end: buyers over HTTP, the shipped binary, real Redis, Kafka protocol and MySQL.

mod bad_bodies;
mod bad_requests;
mod keys;
mod selling;

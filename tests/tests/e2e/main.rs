//! Selling, end to end: buyers over HTTP, the shipped binary, real Redis, Kafka protocol and MySQL.

#![expect(clippy::unwrap_used, reason = "these are tests: a panic is the report")]

mod admin;
mod admin_verbs;
mod bad_bodies;
mod bad_requests;
mod capacity;
mod description;
mod expiry;
mod keys;
mod metrics;
mod orders;
mod request_ids;
mod selling;
mod settling;
mod webhook;
mod why;

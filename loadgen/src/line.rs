//! A buyer's connection, reopened when needed.
//!
//! Owns connecting and the exchange of one request for one answer. Never decides what an answer means and never retries.

use std::rc::Rc;

use tokio::time::Instant;

use crate::answer::Answer;
use crate::conn::{Connection, Fault};
use crate::frame::Head;
use crate::worker::{Purchase, Worker};

/// One connection at a time, to the target.
pub(crate) struct Line {
    pub(crate) worker: Rc<Worker>,
    connection: Option<Connection>,
    /// Connects that failed since the last one that did not.
    pub(crate) failures: u32,
}

impl Line {
    pub(crate) fn new(worker: &Rc<Worker>) -> Self {
        Self { worker: Rc::clone(worker), connection: None, failures: 0 }
    }

    /// To be called after a time without requests: servers close idle connections, and every client looks before it sends.
    pub(crate) fn drop_if_stale(&mut self) {
        if self.connection.as_ref().is_some_and(Connection::is_stale) {
            self.worker.tally.borrow_mut().connections.closed_by_server += 1;
            self.connection = None;
        }
    }

    /// True if there is a connection, after opening one where there was none.
    pub(crate) async fn connect(&mut self) -> bool {
        if self.connection.is_some() {
            return true;
        }
        let shared = &self.worker.shared;
        let opened = Connection::open_first(&shared.target.addresses, shared.plan.request_timeout()).await;
        let mut tally = self.worker.tally.borrow_mut();
        match opened {
            Ok((connection, _)) => {
                self.connection = Some(connection);
                self.failures = 0;
                tally.connections.opened += 1;
                true
            }
            Err(error) => {
                tally.connections.failed += 1;
                tally.connect_error = Some(error);
                self.failures = self.failures.saturating_add(1);
                false
            }
        }
    }

    /// Sends a purchase and waits for its answer; a connection that cannot go on is dropped.
    pub(crate) async fn buy(&mut self, purchase: Purchase) -> Answer {
        let worker = Rc::clone(&self.worker);
        {
            let mut tally = worker.tally.borrow_mut();
            tally.requests += 1;
            if tally.first_request_us.is_none() {
                tally.first_request_us = Some(worker.shared.now_us());
            }
        }
        let Some(connection) = self.connection.as_mut() else { return Answer::none(Fault::Lost.into()) };
        let sent = {
            let mut templates = worker.templates.borrow_mut();
            send(connection, templates[purchase.sku].fill(purchase.user_id, purchase.key))
        };
        let answer = receive(&worker, connection, sent, Answer::read).await;
        self.ended(&answer, |answer| answer.closes);
        answer.unwrap_or_else(|fault| Answer::none(fault.into()))
    }

    /// Sends any other request; `read` makes of its answer what the caller needs.
    pub(crate) async fn post<T>(&mut self, request: &[u8], read: impl Fn(Head, &[u8]) -> T) -> Result<T, Fault> {
        let worker = Rc::clone(&self.worker);
        let connection = self.connection.as_mut().ok_or(Fault::Lost)?;
        let sent = send(connection, request);
        let answer = receive(&worker, connection, sent, |head, body| (head.closes, read(head, body))).await;
        self.ended(&answer, |answer| answer.0);
        answer.map(|answer| answer.1)
    }

    /// Drops the connection if it cannot be used again, and counts why.
    fn ended<T>(&mut self, answer: &Result<T, Fault>, closes: impl Fn(&T) -> bool) {
        let connections = &mut self.worker.tally.borrow_mut().connections;
        match answer {
            Ok(answer) if !closes(answer) => return,
            Ok(_) => connections.closed_by_server += 1,
            Err(_) => connections.lost += 1,
        }
        self.connection = None;
    }
}

/// Writes the request; gives what the socket did not take, almost always nothing.
fn send(connection: &Connection, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let written = connection.send_now(bytes)?;
    // An empty Vec does not allocate.
    Ok(bytes[written..].to_vec())
}

/// Sends the rest and waits for the answer, within the plan's time-out.
async fn receive<T>(
    worker: &Worker,
    connection: &mut Connection,
    sent: Result<Vec<u8>, Fault>,
    read: impl Fn(Head, &[u8]) -> T,
) -> Result<T, Fault> {
    let deadline = Instant::now() + worker.shared.plan.request_timeout();
    worker.spend_request();
    let rest = sent?;
    if !rest.is_empty() {
        connection.send_rest(&rest, deadline).await?;
    }
    connection.receive(&worker.scratch, deadline, read).await
}

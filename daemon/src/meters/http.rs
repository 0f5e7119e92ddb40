//! Requests of buyers by route and status, and how long they took. The purchase's handles exist from the start; those of other
//! routes are made when a status is answered for the first time.

use flash_core::stats::{Histogram, Timings};
use std::sync::OnceLock;
use std::time::Duration;

/// What can be asked of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Purchase,
    Skus,
    Sku,
    Orders,
    Order,
    Pay,
    Cancel,
    Webhook,
    Health,
    OpenApi,
    /// No such path, or another method: whatever it was, it must not become a label.
    Other,
}

impl Endpoint {
    /// Method and route, in the order of the enum.
    pub(crate) const ROUTES: [(Self, &'static str, &'static str); 11] = [
        (Self::Purchase, "POST", "/api/v1/flash/purchase"),
        (Self::Skus, "GET", "/api/v1/flash/skus"),
        (Self::Sku, "GET", "/api/v1/flash/skus/{skuId}"),
        (Self::Orders, "GET", "/api/v1/flash/orders"),
        (Self::Order, "GET", "/api/v1/flash/orders/{orderId}"),
        (Self::Pay, "POST", "/api/v1/flash/orders/{orderId}/pay"),
        (Self::Cancel, "POST", "/api/v1/flash/orders/{orderId}/cancel"),
        (Self::Webhook, "POST", "/api/v1/flash/payments/webhook"),
        (Self::Health, "GET", "/health"),
        (Self::OpenApi, "GET", "/openapi.json"),
        (Self::Other, "other", "other"),
    ];
}

/// Statuses that the API answers; anything else is the last one.
const STATUSES: [&str; 17] = [
    "200", "202", "400", "401", "404", "405", "408", "409", "410", "413", "415", "417", "422", "429", "500", "503",
    "other",
];

const fn place(status: u16) -> usize {
    match status {
        200 => 0,
        202 => 1,
        400 => 2,
        401 => 3,
        404 => 4,
        405 => 5,
        408 => 6,
        409 => 7,
        410 => 8,
        413 => 9,
        415 => 10,
        417 => 11,
        422 => 12,
        429 => 13,
        500 => 14,
        503 => 15,
        _ => 16,
    }
}

type ByStatus = [OnceLock<Box<Timings>>; STATUSES.len()];

/// The counters.
#[derive(Debug)]
pub(crate) struct Http {
    endpoints: [ByStatus; Endpoint::ROUTES.len()],
}

impl Default for Http {
    fn default() -> Self {
        let endpoints: [ByStatus; Endpoint::ROUTES.len()] = Default::default();
        for timings in &endpoints[Endpoint::Purchase as usize] {
            timings.get_or_init(Box::default);
        }
        Self { endpoints }
    }
}

impl Http {
    /// Counts one request that was answered.
    pub(crate) fn answered(&self, endpoint: Endpoint, status: u16, took: Duration) {
        self.endpoints[endpoint as usize][place(status)].get_or_init(Box::default).observe(took);
    }

    /// `([method, route, status], durations)` of everything that was answered at least once.
    pub(crate) fn read(&self) -> impl Iterator<Item = ([&'static str; 3], Histogram)> + '_ {
        Endpoint::ROUTES.iter().zip(&self.endpoints).flat_map(|((_, method, route), by_status)| {
            let statuses = STATUSES.iter().zip(by_status);
            let read = statuses.filter_map(|(status, timings)| Some((*status, timings.get()?.read())));
            read.map(|(status, read)| ([*method, *route, status], read)).filter(|(_, read)| !read.is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_and_status_has_its_own_counters() {
        for (at, (endpoint, _, route)) in Endpoint::ROUTES.iter().enumerate() {
            assert_eq!(*endpoint as usize, at, "{route}");
        }
        for (at, status) in STATUSES.iter().enumerate() {
            assert_eq!(place(status.parse().unwrap_or(999)), at, "{status}");
        }
        let http = Http::default();
        let took = Duration::from_micros(70);
        http.answered(Endpoint::Purchase, 200, took);
        http.answered(Endpoint::Cancel, 503, took);
        http.answered(Endpoint::Other, 418, took);
        let read: Vec<_> = http.read().map(|(labels, read)| (labels, read.count())).collect();
        let cancel = ["POST", "/api/v1/flash/orders/{orderId}/cancel", "503"];
        let purchase = ["POST", "/api/v1/flash/purchase", "200"];
        assert_eq!(read, [(purchase, 1), (cancel, 1), (["other", "other", "other"], 1)]);
    }

    /// Every status of the one table of outcomes has a label of its own.
    #[test]
    fn no_status_of_ours_is_another() {
        use flash_core::outcome::Refusal;
        for refusal in Refusal::one_of_each() {
            assert_ne!(STATUSES[place(refusal.advice().status)], "other", "{refusal:?}");
        }
    }
}

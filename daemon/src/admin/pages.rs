//! What `/metrics` and `/stats` may cost: a tenth of a core, however often the same one is asked for.
//!
//! A page is made afresh for whoever asks, as long as making pages has taken less than that; who asks in a loop gets the page
//! that was made last, never an older one than a second. So a scraper gone wild takes nothing from buyers, and whoever asks
//! now and then reads the present. The runtime is single-threaded and making a page does not wait: no page is made twice at once.

use crate::http::Answer;
use hyper::StatusCode;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Of each second, this part of it may be spent on making pages.
const SHARE: u32 = 10;
/// What may be saved up for: as much as ten seconds bring.
const SPARE_MAX: Duration = Duration::from_secs(1);
/// Pages older than this are not given to anybody.
const AGE_MAX: Duration = Duration::from_secs(1);
/// Most pages that are kept; the largest is about 4 MB.
const KEPT_MAX: usize = 4;

/// The pages that were made last, and the time that is left for more.
#[derive(Debug)]
pub(super) struct Pages(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    pages: VecDeque<(String, Instant, Answer)>,
    spare: Duration,
    counted: Instant,
}

impl Pages {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(Kept { pages: VecDeque::new(), spare: SPARE_MAX, counted: now }))
    }

    /// The page that this target names: made now, or a moment ago.
    pub(super) fn get(&self, target: &str, make: impl FnOnce() -> Answer) -> Answer {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        kept.save_up(began);
        if kept.spare.is_zero()
            && let Some(page) = kept.page(target, began)
        {
            return page;
        }
        let page = make();
        kept.made(target, &page, began, began.elapsed());
        page
    }

    /// Forgets all pages: an operator wants to see what a command has done.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pages.clear();
    }
}

impl Kept {
    fn save_up(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.counted);
        self.spare = (self.spare + passed / SHARE).min(SPARE_MAX);
        self.counted = now;
    }

    fn page(&self, target: &str, now: Instant) -> Option<Answer> {
        let fresh = |made: &Instant| now.saturating_duration_since(*made) <= AGE_MAX;
        self.pages.iter().find(|(of, made, _)| of == target && fresh(made)).map(|(_, _, page)| page.clone())
    }

    fn made(&mut self, target: &str, page: &Answer, began: Instant, took: Duration) {
        self.spare = self.spare.saturating_sub(took);
        self.pages.retain(|(of, ..)| of != target);
        if page.status() == StatusCode::OK {
            self.pages.truncate(KEPT_MAX - 1);
            self.pages.push_front((target.to_owned(), began, page.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::json;
    use bytes::Bytes;
    use http_body_util::BodyExt as _;

    fn kept(now: Instant) -> Kept {
        Kept { pages: VecDeque::new(), spare: SPARE_MAX, counted: now }
    }

    fn page(text: &'static str) -> Answer {
        json(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn time_is_saved_up_to_a_bound_and_spent_on_pages() {
        let start = Instant::now();
        let mut kept = kept(start);
        kept.made("/stats", &page("1"), start, SPARE_MAX * 2);
        assert_eq!(kept.spare, Duration::ZERO);
        kept.save_up(start + Duration::from_millis(500));
        assert_eq!(kept.spare, Duration::from_millis(50), "a tenth");
        kept.save_up(start + Duration::from_secs(600));
        assert_eq!(kept.spare, SPARE_MAX);
    }

    #[test]
    fn a_page_is_found_by_its_own_name_while_it_is_young() {
        let start = Instant::now();
        let mut kept = kept(start);
        for target in ["/metrics", "/stats", "/stats?skus=0", "/stats?skus=1", "/stats?skus=2"] {
            kept.made(target, &page("1"), start, Duration::ZERO);
        }
        assert!(kept.page("/metrics", start).is_none(), "the oldest of too many is dropped");
        assert!(kept.page("/stats", start + AGE_MAX).is_some());
        assert!(kept.page("/stats", start + AGE_MAX + Duration::from_millis(1)).is_none(), "too old");
        assert!(kept.page("/stats?skus=3", start).is_none());
    }

    #[tokio::test]
    async fn who_asks_in_a_loop_gets_what_was_made_last_and_a_command_ends_that() {
        let pages = Pages::new(Instant::now());
        let slow = || {
            std::thread::sleep(Duration::from_millis(2));
            page("first")
        };
        pages.get("/stats", slow);
        pages.0.lock().unwrap().spare = Duration::ZERO;
        // What a few instructions save up is less than a page takes.
        pages.0.lock().unwrap().counted = Instant::now() + Duration::from_secs(60);
        let text = async |answer: Answer| answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(text(pages.get("/stats", || page("second"))).await, "first");
        pages.forget();
        assert_eq!(text(pages.get("/stats", || page("third"))).await, "third");
    }
}

//! What the dashboard knows and how it is looked at: plain data, changed by [`State::update`] alone.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use flash_core::ids::SkuId;

use super::{
    event::{Event, Wish},
    keys::{Action, action_of},
    list::{self, Sort},
    model::{Model, SkuRow, Window},
    tape::Playback,
    theme::Theme,
};
use crate::{
    exit::Exit,
    live::judge::{Facts, Judgement, P99s, Word, judge},
};

/// Windows of time to choose from, in milliseconds.
const ZOOMS_MS: [u64; 4] = [30_000, 120_000, 600_000, 3_600_000];
/// The usual one.
const ZOOM: usize = 1;
/// Longest filter.
const FILTER_MAX: usize = 40;

/// What fills the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Overview,
    Stock,
    Latency,
    Daemons,
    Events,
}

impl Page {
    pub(crate) const ALL: [Page; 5] = [Page::Overview, Page::Stock, Page::Latency, Page::Daemons, Page::Events];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Page::Overview => "overview",
            Page::Stock => "stock",
            Page::Latency => "latency",
            Page::Daemons => "daemons",
            Page::Events => "events",
        }
    }

    fn step(self, by: usize) -> Page {
        let here = Page::ALL.iter().position(|page| *page == self).unwrap_or(0);
        Page::ALL[(here + by) % Page::ALL.len()]
    }
}

/// What lies over the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlay {
    Help,
    Detail(SkuId),
}

/// Everything.
#[derive(Debug)]
pub(crate) struct State {
    /// What is watched, in the operator's words.
    pub(crate) title: String,
    /// Where samples are written to.
    pub(crate) recording_to: Option<String>,
    /// Why nothing is written any more: `FAILED: reason` or `FULL`.
    pub(crate) recording_ended: Option<String>,
    /// How often daemons are asked.
    pub(crate) interval_ms: u64,
    pub(crate) theme: Theme,
    /// Only ASCII can be shown.
    pub(crate) ascii: bool,
    /// Present while a recording is shown.
    pub(crate) tape: Option<Playback>,
    pub(crate) now_ms: u64,
    pub(crate) page: Page,
    pub(crate) overlay: Option<Overlay>,
    /// What SKUs and events must contain.
    pub(crate) filter: String,
    /// Keys go to the filter.
    pub(crate) typing: bool,
    pub(crate) sort: Sort,
    pub(crate) reversed: bool,
    /// The SKUs that are listed, by their index in the stock.
    pub(crate) listed: Vec<u32>,
    /// Index of the selected one among them.
    pub(crate) selected: usize,
    /// First line that is shown of lists without a selection.
    pub(crate) scroll: usize,
    /// What was counted in the window of time.
    pub(crate) window: Window,
    /// Why nothing more comes.
    pub(crate) ended: Option<String>,
    /// The SKU under the cursor, which stays on it.
    cursor: Option<SkuId>,
    zoom: usize,
    size: (u16, u16),
    model: Model,
    /// The model and the moment at which the picture was held.
    held: Option<(Box<Model>, u64)>,
}

impl State {
    pub(crate) fn new(title: impl Into<String>, interval_ms: u64, theme: Theme) -> State {
        State {
            title: title.into(),
            recording_to: None,
            recording_ended: None,
            interval_ms,
            theme,
            ascii: false,
            tape: None,
            now_ms: 0,
            page: Page::Overview,
            overlay: None,
            filter: String::new(),
            typing: false,
            sort: Sort::Id,
            reversed: false,
            listed: Vec::new(),
            selected: 0,
            scroll: 0,
            window: Window::default(),
            ended: None,
            cursor: None,
            zoom: ZOOM,
            size: (80, 24),
            model: Model::default(),
            held: None,
        }
    }

    /// What is drawn: the model as it is, or as it was when the picture was held.
    pub(crate) fn shown(&self) -> &Model {
        self.held.as_ref().map_or(&self.model, |(model, _)| model)
    }

    /// The moment that is drawn.
    pub(crate) fn shown_at_ms(&self) -> u64 {
        self.held.as_ref().map_or(self.now_ms, |(_, at_ms)| *at_ms)
    }

    /// For how long the picture has been held.
    pub(crate) fn held_for_ms(&self) -> Option<u64> {
        self.held.as_ref().map(|(_, at_ms)| self.now_ms.saturating_sub(*at_ms))
    }

    /// What the sale is doing.
    pub(crate) fn judgement(&self) -> Judgement {
        let (model, now_ms) = (self.shown(), self.shown_at_ms());
        let latencies = &self.window.latencies;
        let age_of = |at_ms: u64| now_ms.saturating_sub(at_ms);
        judge(&Facts {
            daemons: model.known(),
            units: model.stock.sum.units,
            p99: P99s {
                reserve: latencies.reserve.quantile_us(0.99),
                produce: latencies.produce.quantile_us(0.99),
                ping: latencies.ping.quantile_us(0.99),
            },
            answered_ms_ago: model.answered_at_ms.map(age_of),
            is_late: model.sampled_at_ms.is_some_and(|at_ms| age_of(at_ms) > self.interval_ms * 3 + 1_000),
            now_ms,
        })
    }

    /// Whether what goes on now can be thought to go on: nothing is foretold of a sale that has stopped, or is not seen.
    pub(crate) fn foretells(&self) -> bool {
        self.judgement().word == Word::Selling
    }

    pub(crate) fn zoom_ms(&self) -> u64 {
        ZOOMS_MS[self.zoom]
    }

    /// The SKU under the cursor.
    pub(crate) fn selected_row(&self) -> Option<&SkuRow> {
        self.shown().stock.rows().get(place(*self.listed.get(self.selected)?))
    }

    /// Takes in what happened. The one place where the state changes.
    pub(crate) fn update(&mut self, event: Event) -> Wish {
        match event {
            Event::Sample(sample) => {
                // Checks of age are against the clock of who looks, which the sample's is too.
                self.now_ms = self.now_ms.max(sample.at_ms);
                self.model.fold(*sample);
                if self.held.is_none() {
                    self.refresh();
                }
            }
            Event::PlayedTo(index) => {
                if let Some(tape) = &mut self.tape {
                    tape.index = index;
                }
            }
            Event::Wound { index, samples } => {
                self.model = Model::default();
                self.now_ms = samples.last().map_or(0, |sample| sample.at_ms);
                samples.into_iter().for_each(|sample| self.model.fold(sample));
                if let Some(tape) = &mut self.tape {
                    tape.index = index;
                }
                self.refresh();
            }
            Event::RecordingEnded(why) => self.recording_ended = Some(why),
            Event::Ended(reason) => self.ended = Some(reason),
            Event::Tick(now_ms) => self.now_ms = now_ms,
            Event::Resized(width, height) => self.size = (width, height),
            Event::Key(key) if key.kind == KeyEventKind::Release => {}
            Event::Key(key) if self.typing => return self.type_filter(&key),
            Event::Key(key) => {
                if let Some(action) = action_of(&key, self.tape.is_some()) {
                    return self.act(action);
                }
            }
        }
        Wish::Nothing
    }

    fn act(&mut self, action: Action) -> Wish {
        match action {
            Action::Interrupt => return Wish::Quit(Exit::Interrupted),
            Action::QuitNow => return Wish::Quit(Exit::Ok),
            Action::Quit if self.overlay.is_none() => return Wish::Quit(Exit::Ok),
            Action::Quit => self.overlay = None,
            Action::Suspend => return Wish::Suspend,
            Action::Redraw => return Wish::Redraw,
            Action::Help => {
                self.scroll = 0;
                self.overlay = if self.overlay == Some(Overlay::Help) { None } else { Some(Overlay::Help) };
            }
            Action::Back => self.back(),
            Action::Pause => self.pause(),
            Action::Overview => self.turn_to(Page::Overview),
            Action::StockPage => self.turn_to(Page::Stock),
            Action::LatencyPage => self.turn_to(Page::Latency),
            Action::DaemonsPage => self.turn_to(Page::Daemons),
            Action::EventsPage => self.turn_to(Page::Events),
            Action::NextPage => self.turn_to(self.page.step(1)),
            Action::PreviousPage => self.turn_to(self.page.step(Page::ALL.len() - 1)),
            Action::Down => self.move_by(1),
            Action::Up => self.move_by(-1),
            Action::PageDown => self.move_by(self.page_rows()),
            Action::PageUp => self.move_by(-self.page_rows()),
            Action::First => self.move_by(isize::MIN / 2),
            Action::Last => self.move_by(isize::MAX / 2),
            Action::Detail => self.open_detail(),
            Action::Filter => self.typing = true,
            Action::Sort => self.sort_by(self.sort.next(), false),
            Action::Reverse => self.sort_by(self.sort, !self.reversed),
            Action::ZoomIn => self.zoom_to(self.zoom.saturating_sub(1)),
            Action::ZoomOut => self.zoom_to((self.zoom + 1).min(ZOOMS_MS.len() - 1)),
            Action::ZoomReset => self.zoom_to(ZOOM),
            Action::NextTheme => self.theme = self.theme.next(),
            Action::StepBack
            | Action::StepOn
            | Action::JumpBack
            | Action::JumpOn
            | Action::TapeStart
            | Action::TapeEnd
            | Action::Slower
            | Action::Faster => {
                if let Some(index) = self.tape.as_mut().and_then(|tape| tape.act(action)) {
                    return Wish::Wind(index);
                }
            }
        }
        Wish::Nothing
    }

    /// One step back: overlay, filter, page.
    fn back(&mut self) {
        if self.overlay.is_some() {
            self.overlay = None;
        } else if !self.filter.is_empty() {
            self.filter.clear();
            self.refresh();
        } else {
            self.turn_to(Page::Overview);
        }
    }

    fn pause(&mut self) {
        if let Some(tape) = &mut self.tape {
            tape.playing = !tape.playing;
        } else if self.held.take().is_none() {
            self.held = Some((Box::new(self.model.clone()), self.now_ms));
        }
        self.refresh();
    }

    fn turn_to(&mut self, page: Page) {
        self.overlay = None;
        self.page = page;
        self.scroll = 0;
    }

    fn open_detail(&mut self) {
        let sku_id = self.selected_row().map(|row| row.told.sku_id);
        if let (Some(sku_id), Page::Overview | Page::Stock) = (sku_id, self.page) {
            let detail = Some(Overlay::Detail(sku_id));
            self.overlay = if self.overlay == detail { None } else { detail };
        }
    }

    fn page_rows(&self) -> isize {
        isize::try_from(self.size.1.saturating_sub(8).max(1)).unwrap_or(1)
    }

    fn move_by(&mut self, by: isize) {
        if self.overlay == Some(Overlay::Help) {
            self.scroll = self.scroll.saturating_add_signed(by).min(super::keys::BINDINGS.len());
            return;
        }
        let len = match self.page {
            Page::Overview | Page::Stock => {
                self.select(self.selected.saturating_add_signed(by));
                self.listed.len()
            }
            Page::Events => list::events(self.shown(), &self.filter).count(),
            Page::Daemons => self.shown().daemons.len(),
            Page::Latency => return,
        };
        self.scroll = self.scroll.saturating_add_signed(by).min(len.saturating_sub(1));
        // The detail goes along with the cursor.
        if let (Some(Overlay::Detail(_)), Some(row)) = (self.overlay, self.selected_row()) {
            self.overlay = Some(Overlay::Detail(row.told.sku_id));
        }
    }

    fn sort_by(&mut self, sort: Sort, reversed: bool) {
        (self.sort, self.reversed) = (sort, reversed);
        // Another order is looked at from its beginning.
        self.list();
        self.select(0);
    }

    fn list(&mut self) {
        self.listed = list::listed(self.shown().stock.rows(), &self.filter, self.sort, self.reversed);
    }

    fn select(&mut self, index: usize) {
        self.selected = index.min(self.listed.len().saturating_sub(1));
        self.cursor = self.selected_row().map(|row| row.told.sku_id);
    }

    fn zoom_to(&mut self, zoom: usize) {
        self.zoom = zoom;
        self.window = self.shown().totals.window(self.zoom_ms());
    }

    fn type_filter(&mut self, key: &KeyEvent) -> Wish {
        let with_ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if with_ctrl => return Wish::Quit(Exit::Interrupted),
            KeyCode::Char('z') if with_ctrl => return Wish::Suspend,
            KeyCode::Char('u') if with_ctrl => self.filter.clear(),
            KeyCode::Char(letter) if !with_ctrl && self.filter.chars().count() < FILTER_MAX => self.filter.push(letter),
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            _ => {}
        }
        self.scroll = 0;
        self.refresh();
        Wish::Nothing
    }

    /// Lists and windows, after what is shown has changed. The cursor stays on its SKU.
    fn refresh(&mut self) {
        self.list();
        // At the top one watches the first, whichever it is.
        if self.selected > 0 {
            let rows = self.shown().stock.rows();
            let is_it = |index: &u32| rows.get(place(*index)).map(|row| row.told.sku_id) == self.cursor;
            self.selected = self.listed.iter().position(is_it).unwrap_or(self.selected);
        }
        self.select(self.selected);
        self.window = self.shown().totals.window(self.zoom_ms());
    }
}

/// An index of [`State::listed`] as one of the stock.
pub(crate) fn place(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

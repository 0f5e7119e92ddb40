//! The one table of keys: what a press does, and what help and footer say about it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Help,
    Back,
    Quit,
    QuitNow,
    Interrupt,
    Suspend,
    Redraw,
    Pause,
    Overview,
    StockPage,
    LatencyPage,
    DaemonsPage,
    EventsPage,
    NextPage,
    PreviousPage,
    Down,
    Up,
    PageDown,
    PageUp,
    First,
    Last,
    Detail,
    Filter,
    Sort,
    Reverse,
    ZoomIn,
    ZoomOut,
    ZoomReset,
    NextTheme,
    StepBack,
    StepOn,
    JumpBack,
    JumpOn,
    TapeStart,
    TapeEnd,
    Slower,
    Faster,
}

/// When a binding holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Always.
    Always,
    /// While a recording is shown; goes before [`When::Always`].
    Replay,
}

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) when: When,
    keys: &'static [(KeyCode, KeyModifiers)],
    pub(crate) action: Action,
    /// The keys, as help spells them.
    pub(crate) spelled: &'static str,
    /// What they do.
    pub(crate) help: &'static str,
    /// One word for the footer; empty: not there.
    pub(crate) footer: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;

macro_rules! key {
    ($when:ident $action:ident $spelled:literal $help:literal $footer:literal : $(($code:expr, $modifiers:expr)),+) => {
        Binding {
            when: When::$when,
            keys: &[$(($code, $modifiers)),+],
            action: Action::$action,
            spelled: $spelled,
            help: $help,
            footer: $footer,
        }
    };
}

use KeyCode::{Char, Down, End, Enter, Esc, Home, Left, PageDown, PageUp, Right, Tab, Up};

/// Every key there is.
pub(crate) const BINDINGS: &[Binding] = &[
    key!(Always Help "?" "this help" "help": (Char('?'), NONE), (KeyCode::F(1), NONE)),
    key!(Always Quit "q" "close what is open, or quit" "quit": (Char('q'), NONE)),
    key!(Always QuitNow "Q" "quit from anywhere" "": (Char('Q'), NONE)),
    key!(Always Interrupt "Ctrl-C" "quit with exit code 130" "": (Char('c'), CTRL)),
    key!(Always Overview "1" "everything at a glance" "": (Char('1'), NONE)),
    key!(Always StockPage "2" "stock, the whole screen" "": (Char('2'), NONE)),
    key!(Always LatencyPage "3" "latencies with their histogram" "": (Char('3'), NONE)),
    key!(Always DaemonsPage "4" "each daemon by itself" "": (Char('4'), NONE)),
    key!(Always EventsPage "e" "events, the whole screen" "": (Char('e'), NONE)),
    key!(Always NextPage "Tab" "the next page" "page": (Tab, NONE)),
    key!(Always PreviousPage "Shift-Tab" "the page before" "": (KeyCode::BackTab, NONE)),
    key!(Replay StepBack "←" "one sample back" "step": (Left, NONE), (Char('h'), NONE)),
    key!(Replay StepOn "→" "one sample on" "": (Right, NONE), (Char('l'), NONE)),
    key!(Replay JumpBack "PgUp" "a twentieth of the recording back" "": (PageUp, NONE)),
    key!(Replay JumpOn "PgDn" "a twentieth of the recording on" "": (PageDown, NONE)),
    key!(Replay TapeStart "Home" "to the start of the recording" "": (Home, NONE)),
    key!(Replay TapeEnd "End" "to the end of the recording" "": (End, NONE)),
    key!(Replay Slower "<" "half the speed" "speed": (Char('<'), NONE), (Char(','), NONE)),
    key!(Replay Faster ">" "twice the speed" "": (Char('>'), NONE), (Char('.'), NONE)),
    key!(Always Pause "p Space" "freeze the picture; once more: go on" "freeze": (Char('p'), NONE), (Char(' '), NONE)),
    key!(Always Down "j ↓" "down" "": (Char('j'), NONE), (Down, NONE)),
    key!(Always Up "k ↑" "up" "": (Char('k'), NONE), (Up, NONE)),
    key!(Always PageDown "Ctrl-F PgDn" "a page down" "": (Char('f'), CTRL), (PageDown, NONE)),
    key!(Always PageUp "Ctrl-B PgUp" "a page up" "": (Char('b'), CTRL), (PageUp, NONE)),
    key!(Always First "g Home" "to the first" "": (Char('g'), NONE), (Home, NONE)),
    key!(Always Last "G End" "to the last" "": (Char('G'), NONE), (End, NONE)),
    key!(Always Detail "Enter" "the selected SKU, all of it" "detail": (Enter, NONE)),
    key!(Always Filter "/" "show only what contains a word" "filter": (Char('/'), NONE)),
    key!(Always Sort "s" "the next order of the stock list" "sort": (Char('s'), NONE)),
    key!(Always Reverse "r" "the other way round" "": (Char('r'), NONE)),
    key!(Always ZoomIn "+" "a shorter window of time" "zoom": (Char('+'), NONE)),
    key!(Always ZoomOut "-" "a longer window of time" "": (Char('-'), NONE)),
    key!(Always ZoomReset "=" "the usual window of time" "": (Char('='), NONE)),
    key!(Always NextTheme "t" "other colours" "": (Char('t'), NONE)),
    key!(Always Redraw "Ctrl-L" "draw the screen afresh" "": (Char('l'), CTRL)),
    key!(Always Back "Esc" "close, undo the filter, back to the overview" "": (Esc, NONE)),
    key!(Always Suspend "Ctrl-Z" "to the shell; fg comes back" "": (Char('z'), CTRL)),
];

/// What a press asks for; `None`: nothing.
pub(crate) fn action_of(key: &KeyEvent, is_replay: bool) -> Option<Action> {
    // What Shift does is in the character already.
    let modifiers = key.modifiers - KeyModifiers::SHIFT;
    let pressed = |binding: &&Binding| binding.keys.contains(&(key.code, modifiers));
    let of = |when: When| BINDINGS.iter().filter(move |binding| binding.when == when).find(pressed);
    let replay = is_replay.then(|| of(When::Replay)).flatten();
    replay.or_else(|| of(When::Always)).map(|binding| binding.action)
}

/// The rows that hold now, in order.
pub(crate) fn bindings(is_replay: bool) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |binding| is_replay || binding.when == When::Always)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn press(code: KeyCode, modifiers: KeyModifiers) -> KeyEvent {
        KeyEvent::new(code, modifiers)
    }

    #[test]
    fn every_key_is_reached_and_does_what_its_row_says() {
        for binding in BINDINGS {
            for (code, modifiers) in binding.keys {
                let is_replay = binding.when == When::Replay;
                assert_eq!(
                    action_of(&press(*code, *modifiers), is_replay),
                    Some(binding.action),
                    "{}",
                    binding.spelled
                );
            }
        }
    }

    #[test]
    fn every_row_is_documented_and_no_action_has_two() {
        let actions: HashSet<Action> = BINDINGS.iter().map(|binding| binding.action).collect();
        assert_eq!(actions.len(), BINDINGS.len());
        let page = include_str!("../../../docs/top.md");
        for binding in BINDINGS {
            assert!(!binding.help.is_empty());
            let row = format!("| `{}` | {} |", binding.spelled, binding.help);
            assert!(page.contains(&row), "docs/top.md lacks: {row}");
        }
    }

    #[test]
    fn the_letters_that_were_promised_are_there() {
        for letter in "qQ?p/jkgGe+-=sr1234".chars() {
            assert!(action_of(&press(Char(letter), NONE), false).is_some(), "{letter}");
        }
        assert_eq!(action_of(&press(Char('G'), KeyModifiers::SHIFT), false), Some(Action::Last));
        assert_eq!(action_of(&press(Char('c'), NONE), false), None);
    }
}

//! The dashboard in a real terminal: every key, every size, and every way to end, after each of which the terminal is the shell's
//! again.

use std::{fs, time::Duration};

use flash_tests::{
    backends::Own,
    crowd::Rush,
    site::{AUDITED, Site, ticket},
};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::tmux::Terminal;

const FLASHCTL: &str = env!("CARGO_BIN_EXE_flashctl");
/// A word of the footer, which is there while the dashboard is.
const FOOTER: &str = "q quit";

/// Starts `top` in a terminal and waits for its picture. Its process id is in the terminal's file.
#[track_caller]
fn top(terminal: &Terminal, variables: &str, arguments: &str) {
    let pid = terminal.pid_file();
    let _ = fs::remove_file(&pid);
    // exec keeps the id; the shell around it is a job that can be stopped and continued.
    let pid = pid.display();
    terminal.command(&format!("{variables} sh -c 'echo $$ > {pid}; exec {FLASHCTL} top {arguments}'"));
    terminal.wait_for(FOOTER);
    assert!(terminal.is_taken());
}

/// The process that was started last.
fn pid(terminal: &Terminal) -> Pid {
    let pid: i32 = fs::read_to_string(terminal.pid_file()).unwrap().trim().parse().unwrap();
    Pid::from_raw(pid).unwrap()
}

/// Presses a key and waits for what it does.
#[track_caller]
fn press(terminal: &Terminal, key: &str, what: &str, is: impl Fn(&str) -> bool) {
    terminal.keys(&[key]);
    terminal.wait_until(&format!("{key}: {what}"), is);
}

/// The keys of a dashboard of what is. What each does is shown by a text that comes, or one that goes.
#[track_caller]
fn every_key(terminal: &Terminal) {
    let comes = |key: &str, text: &str| press(terminal, key, text, |screen| screen.contains(text));
    let goes = |key: &str, text: &str| press(terminal, key, text, |screen| !screen.contains(text));
    comes("?", "this help");
    goes("Escape", "this help");
    comes("F1", "this help");
    goes("q", "this help");
    comes("3", "unit back on sale");
    comes("4", "1 of 1 answer");
    comes("e", "EVENTS");
    comes("2", "STOCK");
    goes("2", "THROUGHPUT");
    comes("1", "PIPELINE");
    goes("Tab", "PIPELINE");
    comes("BTab", "PIPELINE");
    comes("s", "least left first");
    comes("r", "reversed");
    goes("r", "reversed");
    comes("+", "last 30 s");
    comes("=", "last 2 min");
    comes("-", "last 10 min");
    comes("=", "last 2 min");
    comes("Enter", "╭─ ");
    goes("Escape", "╭─ ");
    let selected = |screen: &str, sku: &str| screen.lines().any(|line| line.starts_with('▸') && line.contains(sku));
    for order in ["fastest first", "soonest gone first", "most asked for first", "by id"] {
        comes("s", order);
    }
    for (key, sku) in [
        ("g", "Ticket 1"),
        ("j", "Ticket 2"),
        ("k", "Ticket 1"),
        ("Down", "Ticket 2"),
        ("Up", "Ticket 1"),
        ("G", "Ticket 3"),
        ("Home", "Ticket 1"),
        ("End", "Ticket 3"),
        ("C-b", "Ticket 1"),
        ("C-f", "Ticket 3"),
        ("PPage", "Ticket 1"),
        ("NPage", "Ticket 3"),
    ] {
        press(terminal, key, sku, |screen| selected(screen, sku));
    }
    terminal.keys(&["/"]);
    terminal.keys(&["3"]);
    press(terminal, "Enter", "the filter", |screen| screen.contains("Ticket 3") && !screen.contains("Ticket 1 "));
    comes("Escape", "Ticket 1 ");
    comes("p", "FROZEN");
    terminal.keys(&["Space"]);
    let before = terminal.coloured();
    terminal.keys(&["t"]);
    terminal.wait_until("other colours", |_| terminal.coloured() != before);
    comes("C-l", FOOTER);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_every_size_and_every_end_leave_a_terminal_that_works() {
    let site = Site::open(Own::default(), &[ticket(1, 100_000), ticket(2, 50), ticket(3, 7)]).await;
    let daemon = site.daemon_with("all", &AUDITED).await;
    let rush = Rush::start(&site, &[&daemon], 1, 2);
    let arguments = format!("--admin {} --interval 200ms", daemon.admin);
    let look = move || {
        let terminal = Terminal::open(120, 40);
        top(&terminal, "", &arguments);
        terminal.wait_for("Ticket 3");
        every_key(&terminal);

        for (width, height) in [(200, 60), (80, 24), (60, 16), (40, 10), (30, 8), (3, 2), (120, 40)] {
            terminal.resize(width, height);
            terminal.wait_until(&format!("{width}x{height}"), |screen| screen.lines().count() <= usize::from(height));
        }
        terminal.wait_for(FOOTER);

        // To the shell and back, twice: the second time it is the same as the first.
        for _ in 0..2 {
            terminal.keys(&["C-z"]);
            terminal.check_restored();
            terminal.command("fg");
            terminal.wait_for(FOOTER);
            assert!(terminal.is_taken());
        }
        press(&terminal, "?", "keys work after fg", |screen| screen.contains("this help"));
        terminal.keys(&["Q"]);
        assert_eq!(terminal.exit_code(), 0, "Q");
        terminal.check_restored();

        for (end, exit) in [(Signal::TERM, 130), (Signal::INT, 130), (Signal::HUP, 130)] {
            top(&terminal, "", &arguments);
            kill_process(pid(&terminal), end).unwrap();
            assert_eq!(terminal.exit_code(), exit, "{end:?}");
            terminal.check_restored();
        }
        top(&terminal, "", &arguments);
        terminal.keys(&["q"]);
        assert_eq!(terminal.exit_code(), 0, "q");
        top(&terminal, "", &arguments);
        terminal.keys(&["C-c"]);
        assert_eq!(terminal.exit_code(), 130, "Ctrl-C");
        terminal.check_restored();

        top(&terminal, "FLASHCTL_PANIC_AT=top.key", &arguments);
        terminal.keys(&["x"]);
        terminal.wait_for("ordered by FLASHCTL_PANIC_AT=top.key");
        assert_eq!(terminal.exit_code(), 1, "a panic");
        terminal.check_restored();

        // A terminal that goes away takes the dashboard with it.
        top(&terminal, "", &arguments);
        let orphan = pid(&terminal);
        drop(terminal);
        let gone = (0..300).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            test_kill_process(orphan).is_err()
        });
        assert!(gone, "still there without a terminal");
    };
    tokio::task::spawn_blocking(look).await.unwrap();
    rush.stop().await;
    site.finish(&[&daemon]).await;
}

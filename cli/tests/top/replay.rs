//! Lines out of a recording of a real sale: a sell-out, a daemon that was killed and came back, a Redis that was killed and filled
//! anew (made by `cli/examples/record_sale.rs`).

use std::process::{Command, Stdio};

use serde_json::Value;

/// Where it is kept.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/sale.ndjson");

fn replay(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_flashctl"))
        .args(["top", "--replay", FILE])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_past_sale_is_told_as_it_went() {
    let lines: Vec<Value> = replay(&["-o", "json"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 45);
    let states: Vec<&str> = lines.iter().map(|line| line["state"].as_str().unwrap()).collect();
    let at = |from: usize, is: &dyn Fn(&Value) -> bool, what: &str| {
        let found = lines[from..].iter().position(is).map(|index| from + index);
        found.unwrap_or_else(|| panic!("no line tells of {what}: {states:?}"))
    };
    // Idle, selling, a SKU sold out while others sell.
    assert_eq!((states[0], lines[0]["perS"].is_null()), ("selling", true));
    let per_s = |line: &Value, name: &str| line["perS"][name].as_f64().unwrap_or(0.0);
    let selling = at(0, &|line| per_s(line, "wins") > 0.0, "wins");
    let sold_out = at(selling, &|line| per_s(line, "soldOut") > 0.0, "sold-outs");
    // One daemon is gone: a reason, no zero, and the other sells on.
    let gone = at(sold_out, &|line| line["daemons"]["answering"] == 1, "a daemon that is gone");
    assert!(lines[gone]["reasons"][0].as_str().unwrap().starts_with("http://10.0.0.7:9300: "), "{}", lines[gone]);
    assert_eq!(states[gone], "selling");
    let back = at(gone, &|line| line["daemons"]["answering"] == 2, "both daemons");
    // Redis dies: nothing is won until it is filled under a new epoch.
    let stopped = at(back, &|line| line["state"] != "selling", "a stop");
    let again = at(stopped, &|line| line["state"] == "selling" && per_s(line, "wins") > 0.0, "selling again");
    let epoch = |index: usize| lines[index]["epoch"]["latest"].as_u64().unwrap();
    assert!(epoch(again) > epoch(back), "epoch {} after {}", epoch(again), epoch(back));
    assert!(states[stopped..again].contains(&"recovering"), "{states:?}");
    // What is said of stock never exceeds what there is.
    let counted: Vec<&Value> = lines.iter().filter(|line| line["stock"]["skusCounted"] == 3).collect();
    assert!(counted.len() > 30, "stock is known most of the time: {}", counted.len());
    for line in counted {
        let unit = |name: &str| line["stock"][name].as_u64().unwrap();
        assert_eq!(unit("capacity"), 1_240, "{line}");
        assert!(unit("left") + unit("held") + unit("sold") + unit("closing") <= 1_240, "{line}");
    }
}

#[test]
fn lines_for_people_stay_in_their_columns() {
    let text = replay(&[]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 45 + 3, "a heading every twenty lines");
    assert!([0, 21, 42].iter().all(|index| lines[*index].starts_with("TIME ")), "{text}");
    let column = lines[0].find("STATE").unwrap();
    for line in lines.iter().filter(|line| !line.starts_with("TIME ")) {
        let state: String = line.chars().skip(column).collect();
        let words = ["selling", "stopped", "recovering", "not ready", "held out", "sold out"];
        assert!(words.iter().any(|word| state.starts_with(word)), "{line}");
    }
    assert_eq!(replay(&["--count", "3", "-o", "json"]).lines().count(), 3);
}

#[test]
fn a_picture_is_in_the_terminals_character_set_and_passes_over_what_is_damaged() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (header, samples) = text.split_once('\n').unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("damaged.ndjson");
    // The first line of all, and one near the end.
    let (most, last) = samples.trim_end().rsplit_once('\n').unwrap();
    std::fs::write(&file, format!("{header}\n{{\"atMs\":\n{most}\n\0\0\n{last}\n")).unwrap();
    let picture = |locale: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_flashctl"))
            .args(["top", "--picture", "120x40", "--replay", file.to_str().unwrap()])
            .env("LC_ALL", locale)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{told}");
        assert_eq!(told.matches("is damaged").count(), 2, "{told}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (plain, whole) = (picture("C"), picture("C.UTF-8"));
    assert!(plain.is_ascii() && plain.contains("STOCK"), "{plain}");
    assert!(!whole.is_ascii() && whole.lines().count() == plain.lines().count(), "{whole}");
}

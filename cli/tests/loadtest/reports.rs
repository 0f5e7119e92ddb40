//! Reports are what their published schema says.

use std::{fs, path::PathBuf};

use serde_json::Value;

use crate::shop::Trick;
use crate::{flashctl, run_with, schema, shop, temporary};

/// The published schema.
fn report_schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/reports/loadtest.schema.json")).unwrap()
}

#[track_caller]
pub(crate) fn fits_the_schema(report: &Value) {
    let found = schema::violations(&report_schema(), report);
    assert!(found.is_empty(), "{found:#?}");
}

#[tokio::test]
async fn a_report_is_what_its_schema_says() {
    let file = temporary("for-schema.json");
    let path = file.to_str().unwrap();
    let env = shop(Trick::Oversells).await;
    let judged = flashctl(&env, &run_with(&["-o", "json", "--report", path, "--threshold", "win.p99<1us"])).await;
    let report = judged.json();
    fits_the_schema(&report);
    assert_eq!(serde_json::from_str::<Value>(&fs::read_to_string(&file).unwrap()).unwrap(), report);
    let measured =
        flashctl(&env, &["loadtest", "--rate", "1s:50", "--no-verdict", "--baseline", path, "-o", "json"]).await;
    fits_the_schema(&measured.json());
    fs::remove_file(&file).unwrap();

    // The check itself: a member too many, one too few, and one of the wrong kind are all seen.
    for (pointer, lie) in [("/run", Value::Null), ("/verdict/told", "x".into()), ("/verdict/outcome", "perfect".into())]
    {
        let mut forged = report.clone();
        *forged.pointer_mut(pointer).unwrap() = lie;
        assert!(!schema::violations(&report_schema(), &forged).is_empty(), "{pointer}");
    }
    let mut more = report.clone();
    more["run"]["surprise"] = 1.into();
    assert_eq!(schema::violations(&report_schema(), &more).len(), 1);
    let mut less = report;
    less["run"].as_object_mut().unwrap().remove("fairness");
    assert_eq!(schema::violations(&report_schema(), &less).len(), 1);
}

#[test]
fn the_reports_in_the_docs_fit_the_schema() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/reports");
    let reports = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let reports = reports.filter(|path| {
        path.extension().is_some_and(|end| end == "json") && !path.to_string_lossy().ends_with(".schema.json")
    });
    for path in reports {
        let report: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let found = schema::violations(&report_schema(), &report);
        assert!(found.is_empty(), "{}: {found:#?}", path.display());
    }
}

//! The report's page in a real browser: it opens without a network, says nothing on the console, and shows what it should.

use std::{fs, path::Path, process::Command, process::Output};

use crate::shop::{Shop, Trick};

/// Names of the same browser on different systems.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Runs a headless browser without a network: every name it looks up fails.
fn browse(dir: &Path, more: &[&str]) -> Output {
    let profile = dir.join("profile");
    let arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        "--log-level=0",
        "--hide-scrollbars",
    ];
    for browser in BROWSERS {
        let mut command = Command::new(browser);
        command.args(arguments).arg(format!("--user-data-dir={}", profile.display())).args(more);
        if let Ok(output) = command.output() {
            return output;
        }
    }
    panic!("no browser found; scripts/install-tools --browser installs one");
}

/// What the page said on its console.
fn console(output: &Output) -> Vec<String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    stderr.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_opens_in_a_browser_without_a_word_on_its_console() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let page = dir.join("report.html");
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_flashctl"));
    command.env_clear().env("FLASH_API_URL", Shop::open(200, Trick::Oversells).await);
    command.args(["loadtest", "--rate", "3s:200", "--told-only", "-o", "json", "--html"]).arg(&page);
    let ran = command.output().await.unwrap();
    assert_eq!(ran.status.code(), Some(3), "{}", String::from_utf8_lossy(&ran.stderr));

    let url = format!("file://{}", page.display());
    let shown = tokio::task::spawn_blocking({
        let dir = dir.clone();
        move || browse(&dir, &["--dump-dom", &url])
    });
    let shown = shown.await.unwrap();
    assert_eq!(console(&shown), Vec::<String>::new());
    let dom = String::from_utf8(shown.stdout).unwrap();
    assert!(dom.contains("VERDICT: BROKEN") && dom.contains("OVERSOLD"), "{dom}");
    assert_eq!(dom.matches("role=\"img\"").count(), 4, "latency, percentiles, answers, stock: {dom}");

    // The check itself: a page that complains is heard.
    let bad = dir.join("bad.html");
    fs::write(&bad, "<!DOCTYPE html><title>x</title><script>console.error('broken')</script>").unwrap();
    let url = format!("file://{}", bad.display());
    let heard = tokio::task::spawn_blocking({
        let dir = dir.clone();
        move || browse(&dir, &["--dump-dom", &url])
    });
    assert!(console(&heard.await.unwrap()).iter().any(|line| line.contains("broken")));
    fs::remove_dir_all(&dir).unwrap();
}

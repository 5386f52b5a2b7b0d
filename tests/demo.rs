//! The demo as a user runs it: its report shows what it made.

use std::path::Path;
use std::process::Command;

#[test]
fn the_report_shows_what_lies_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_headgan"))
        .args(["demo", "--frames", "3", "--json", "--quiet", "--out"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let html = std::fs::read_to_string(Path::new(summary["report"].as_str().unwrap())).unwrap();

    let sources: Vec<&str> = html.split(" src=\"").skip(1).map(|s| &s[..s.find('"').unwrap()]).collect();
    let (inside, beside): (Vec<&str>, Vec<&str>) = sources.into_iter().partition(|s| s.starts_with("data:image/jpeg"));
    let expressions = headgan::morphable::Expression::ALL.len();
    assert_eq!(inside.len(), 3 * 3 + expressions, "driving, PNCC and result of every frame, and each expression");
    assert_eq!(beside.len(), 3, "reference, driving and result: {beside:?}");
    for file in beside {
        assert!(dir.path().join(file).is_file(), "{file}");
    }
    for id in ["clips", "frames", "expressions", "crop", "curves", "timing", "models", "settings", "notes"] {
        assert!(html.contains(&format!("<section id=\"{id}\"")), "{id}");
    }
    assert_eq!(html.matches("<figure class=\"chart").count(), 6 + 10);
    // Pictures are base64, in which any three letters may stand.
    let html: String = html.split("data:image/jpeg;base64,").map(|s| &s[s.find('"').unwrap_or(0)..]).collect();
    assert!(!html.contains("NaN") && !html.contains("http://") && !html.contains("https://"));
}

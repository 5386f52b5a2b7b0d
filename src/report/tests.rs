//! The whole page from outside.

use super::*;
use crate::Error;
use crate::frame::{Color, Frame};
use crate::testing::Rng;

fn picture() -> Picture {
    Picture::new(&Frame::filled(32, 24, [0.4, 0.5, 0.6, 1.0], Color::Srgb)).unwrap()
}

fn line(name: &str, weight: Weight, values: impl IntoIterator<Item = f32>) -> Line {
    Line { name: name.into(), weight, values: values.into_iter().map(Some).collect() }
}

/// A report with everything; `text` is the text of everything that a user names.
fn full(text: &str, frames: usize) -> Report {
    let text = || text.to_string();
    let wave = |k: usize| (0..frames).map(move |i| ((i + k) as f32 * 0.1).sin());
    Report {
        title: text(),
        subtitle: text(),
        first: 1001,
        frames,
        fps: 25.0,
        summary: vec![Fact { label: text(), value: text(), note: text(), warn: true }],
        clips: vec![
            Clip { label: text(), file: "result 1.mp4".into(), poster: Some(picture()) },
            Clip { label: text(), file: text(), poster: None },
        ],
        sheet: Sheet {
            columns: vec![1001, 1002],
            rows: vec![SheetRow { label: text(), pictures: vec![Some(picture()), None] }],
        },
        charts: vec![
            Chart {
                title: text(),
                unit: text(),
                caption: text(),
                lines: vec![line("yaw", Weight::Thin, wave(0)), line("yaw", Weight::Strong, wave(2))],
                weights: [text(), text()],
                reach: vec![0.0],
                marks: vec![EventKind::Gap, EventKind::Outlier],
                ..Chart::default()
            },
            Chart {
                title: "c0".into(),
                lines: vec![line(&text(), Weight::Strong, wave(1))],
                small: true,
                ..Chart::default()
            },
        ],
        crop: Some(CropPlot {
            plate: (1920, 1080),
            window: Window::square(600.0, 200.0, 500.0),
            path: (0..frames).map(|i| Some(Window::square(600.0 + (i % 300) as f64, 200.0, 480.0))).collect(),
            caption: text(),
        }),
        events: vec![
            Event { kind: EventKind::Gap, frame: 1003, last: 1005, text: text() },
            Event::at(EventKind::Outlier, 1002, text()),
        ],
        timings: vec![Stage { name: text(), seconds: 2.5, frames: 100 }],
        expressions: Some(ExpressionGrid {
            caption: text(),
            cells: vec![ExpressionCell { name: text(), picture: picture(), measure: text() }],
        }),
        models: vec![ModelLine { role: text(), name: text(), hash: "0123456789abcdef".repeat(4), licence: text() }],
        settings: vec![
            SettingLine { id: "yaw_offset".into(), value: text(), default: text(), changed: true },
            SettingLine { id: "smoothing".into(), value: "15".into(), default: "15".into(), changed: false },
        ],
        notes: vec![text()],
    }
}

/// What stands between the tags and in them must pair up, or the page falls apart at that point.
fn check_tags(html: &str) {
    const VOID: [&str; 3] = ["meta", "img", "br"];
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').unwrap();
        let tag = &rest[..end];
        let name = tag.split([' ', '/']).find(|s| !s.is_empty()).unwrap();
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.starts_with('!') && !VOID.contains(&name) {
            open.push(name);
            if ["script", "style"].contains(&name) {
                rest = &rest[rest.find(&format!("</{name}>")).unwrap()..];
                continue;
            }
        }
        rest = &rest[end..];
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn every_section_is_there() {
    let html = full("plain", 50).html();
    check_tags(&html);
    let ids = ["clips", "frames", "curves", "crop", "events", "expressions", "timing", "models", "settings", "notes"];
    for id in ids {
        assert_eq!(html.matches(&format!("<section id=\"{id}\"")).count(), 1, "{id}");
        assert_eq!(html.matches(&format!("href=\"#{id}\"")).count(), 1, "{id}");
    }
    assert!(html.starts_with("<!DOCTYPE html>"));
    assert!(html.contains("<video src=\"result%201.mp4\" poster=\"data:image/jpeg;base64,"));
    assert!(html.contains(
        "<code title=\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\">0123456789ab</code>"
    ));
    assert!(html.contains("1 of 2 controls differ"));
    assert!(html.contains("1003–1005"));
    // Thin below strong, of one colour.
    let (thin, strong) = (html.find("class=\"thin l0\"").unwrap(), html.find("class=\"strong l0\"").unwrap());
    assert!(thin < strong);
}

#[test]
fn a_page_of_nothing_has_no_sections() {
    let html = Report::default().html();
    check_tags(&html);
    assert!(!html.contains("<section"));
    let alone = Report { events: vec![Event::at(EventKind::Note, 3, "x")], ..Report::default() }.html();
    assert!(alone.contains("<section id=\"events\">"), "one alone takes the whole width");
}

#[test]
fn names_cannot_become_markup() {
    let bad = "<script>alert('\"&</style></title><img src=x onerror=1>";
    let html = full(bad, 20).html();
    check_tags(&html);
    assert_eq!(html.matches("<script").count(), 1, "only the cursor's");
    assert!(!html.contains("<img src=x") && !html.contains("alert('\""), "brackets and quotes are escaped");
    // In text and in an attribute.
    assert!(html.contains("<h1>&lt;script&gt;alert('&quot;&amp;&lt;/style&gt;"));
    assert!(html.contains("data-name=\"&lt;script&gt;alert('&quot;"));
}

#[test]
fn nothing_is_fetched() {
    let html = full("plain", 50).html();
    for scheme in ["http://", "https://", "//cdn", "@import", "url(", "<link"] {
        assert!(!html.contains(scheme), "{scheme}");
    }
    assert!(html.contains("default-src 'none'"));
}

/// The values of an attribute in the page.
fn attributes<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let lead = format!(" {name}=\"");
    html.split(&lead as &str).skip(1).map(|s| &s[..s.find('"').unwrap()]).collect()
}

#[test]
fn values_that_are_no_numbers_leave_no_trace() {
    let mut report = full("plain", 60);
    let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 1e-45];
    report.fps = f64::NAN;
    report.charts[0].reach = bad.to_vec();
    report.charts[0].cut_peaks = true;
    for line in report.charts.iter_mut().flat_map(|c| &mut c.lines) {
        for (v, b) in line.values.iter_mut().zip(bad.iter().cycle()) {
            *v = Some(*b);
        }
    }
    let empty = Chart { lines: vec![line("nan", Weight::Strong, [f32::NAN; 60])], ..Chart::default() };
    report.charts.push(empty);
    let crop = report.crop.as_mut().unwrap();
    crop.window = Window::square(f64::NAN, 0.0, f64::INFINITY);
    crop.path[3] = Some(Window::square(f64::NEG_INFINITY, f64::NAN, 1e300));
    report.timings[0].seconds = f64::INFINITY;
    let html = report.html();
    check_tags(&html);
    let page = &html[html.find("<body>").unwrap()..html.find("<script>").unwrap()];
    for word in ["NaN", "inf", "Infinity"] {
        assert!(!page.contains(word), "{word}");
    }
    for d in attributes(page, "d") {
        for n in d.split(['M', 'L', 'h', ' ']).filter(|s| !s.is_empty()) {
            assert!(n.parse::<f64>().unwrap().abs() < 1e5, "{n}");
        }
    }
}

#[test]
fn frames_outside_the_shot_do_no_harm() {
    let mut report = full("plain", 5);
    report.charts[0].lines[0].values = vec![Some(1.0); 500];
    report.charts[0].lines[1].values.truncate(2);
    report.crop.as_mut().unwrap().path.truncate(1);
    report.events = vec![
        Event { kind: EventKind::Gap, frame: 0, last: 5000, text: String::new() },
        Event { kind: EventKind::Gap, frame: 1004, last: 1001, text: String::new() },
        Event::at(EventKind::Outlier, 7, ""),
        Event::at(EventKind::Outlier, usize::MAX - 1, ""),
    ];
    check_tags(&report.html());
    report.frames = 0;
    check_tags(&report.html());
    report.first = usize::MAX;
    report.frames = 3;
    check_tags(&report.html());
}

#[test]
fn a_long_shot_stays_small() {
    const FRAMES: usize = 10_000;
    let mut rng = Rng(7);
    let mut report = full("plain", FRAMES);
    let noise = |rng: &mut Rng| line("a", Weight::Thin, rng.vec(FRAMES));
    report.charts =
        (0..8).map(|_| Chart { lines: (0..6).map(|_| noise(&mut rng)).collect(), ..Chart::default() }).collect();
    report.charts.extend((0..40).map(|_| Chart { lines: vec![noise(&mut rng)], small: true, ..Chart::default() }));
    report.charts[0].marks = vec![EventKind::Gap, EventKind::Outlier, EventKind::Clipped];
    report.events = (0..FRAMES).map(|i| Event::at(EventKind::Outlier, 1001 + i, "rejected")).collect();
    let walk = |_| Some(Window::square(500.0 * f64::from(rng.signed()), 500.0 * f64::from(rng.signed()), 400.0));
    report.crop.as_mut().unwrap().path = (0..FRAMES).map(walk).collect();
    let noisy =
        Frame::from_rgb8(240, 240, &(0..240 * 240 * 3).map(|i| (i * 31 % 251) as u8).collect::<Vec<_>>(), Color::Srgb);
    let picture = Picture::new(&noisy).unwrap();
    report.sheet.columns = (0..16).collect();
    report.sheet.rows = vec![SheetRow { label: String::new(), pictures: vec![Some(picture.clone()); 16] }; 4];
    let html = report.html();
    println!("{} bytes", html.len());
    assert!(html.len() < 10 << 20, "{} bytes", html.len());
    // The worst case: every other frame is a gap.
    for line in report.charts.iter_mut().flat_map(|c| &mut c.lines) {
        line.values.iter_mut().step_by(2).for_each(|v| *v = None);
    }
    assert!(report.html().len() < 16 << 20, "{} bytes", report.html().len());
}

#[test]
fn it_is_written_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    let report = full("plain", 20);
    report.write(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), report.html());
    assert!(matches!(report.write(&dir.path().join("missing/report.html")), Err(Error::Input(_))));
}

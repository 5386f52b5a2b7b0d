//! The page: sections in the order in which somebody reads them.

use super::chart::{self, kind_class};
use super::{
    Chart, Clip, Event, EventKind, ExpressionGrid, ModelLine, Picture, Report, SettingLine, Sheet, Stage, crop,
};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("cursor.js");

/// The browser is told to fetch nothing but the clips beside the report, which keeps the promise of an offline file.
const POLICY: &str = "default-src 'none'; img-src data: file: 'self'; media-src file: 'self'; \
                      style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// Rows of the table of events; a shot with more has another problem than the rest of the list would show.
const MAX_EVENTS: usize = 500;

struct Section {
    id: &'static str,
    heading: &'static str,
    /// Takes half of a wide page.
    half: bool,
    body: Markup,
}

/// The whole document.
pub(super) fn document(report: &Report) -> Markup {
    let sections = sections(report);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (report.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.top {
                    div { h1 { (report.title) } @if !report.subtitle.is_empty() { p { (report.subtitle) } } }
                    nav { @for s in &sections { a href={ "#" (s.id) } { (s.heading) } } }
                }
                main {
                    @if !report.summary.is_empty() { (summary(report)) }
                    @for s in &sections {
                        section id=(s.id) class=[s.half.then_some("half")] { h2 { (s.heading) } (s.body) }
                    }
                }
                footer {
                    "headgan " (env!("CARGO_PKG_VERSION")) ". This file is complete: "
                    "it loads nothing" @if !report.clips.is_empty() { " but the clips beside it" } "."
                    " Readings at the cursor are taken off the drawn curves."
                }
                div #cursor hidden {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn sections(report: &Report) -> Vec<Section> {
    let mut out = Vec::new();
    let mut add = |id, heading, half, present: bool, body: &dyn Fn() -> Markup| {
        if present {
            out.push(Section { id, heading, half, body: body() });
        }
    };
    let has_crop = report.crop.is_some();
    let has_events = !report.events.is_empty();
    add("clips", "Clips", false, !report.clips.is_empty(), &|| clips(&report.clips));
    add("frames", "Frames", false, !report.sheet.columns.is_empty(), &|| sheet(&report.sheet));
    add("curves", "Curves", false, !report.charts.is_empty(), &|| charts(report));
    add(
        "crop",
        "Crop",
        has_events,
        has_crop,
        &|| html! { @if let Some(c) = &report.crop { (crop::figure(c, report)) } },
    );
    add("events", "Events", has_crop, has_events, &|| events(&report.events));
    add("expressions", "Expressions", false, report.expressions.is_some(), &|| {
        html! { @if let Some(e) = &report.expressions { (expressions(e)) } }
    });
    let both = !report.timings.is_empty() && !report.models.is_empty();
    add("timing", "Timing", both, !report.timings.is_empty(), &|| timings(&report.timings));
    add("models", "Models", both, !report.models.is_empty(), &|| models(&report.models));
    add("settings", "Settings", false, !report.settings.is_empty(), &|| settings(&report.settings));
    add(
        "notes",
        "Notes",
        false,
        !report.notes.is_empty(),
        &|| html! { @for note in &report.notes { p.note { (note) } } },
    );
    out
}

fn summary(report: &Report) -> Markup {
    html! {
        dl.summary {
            @for fact in &report.summary {
                div class=[fact.warn.then_some("warn")] {
                    dt { (fact.label) }
                    dd { b { (fact.value) } @if !fact.note.is_empty() { small { (fact.note) } } }
                }
            }
        }
    }
}

fn clips(clips: &[Clip]) -> Markup {
    html! {
        div.clips {
            @for clip in clips {
                figure {
                    @if is_video(&clip.file) {
                        @let poster = clip.poster.as_ref().map(|p| &p.uri);
                        video src=(address(&clip.file)) poster=[poster] controls loop preload="metadata" {}
                    }
                    @else { img src=(address(&clip.file)) alt=(clip.label); }
                    figcaption { (clip.label) }
                }
            }
        }
    }
}

fn is_video(file: &str) -> bool {
    let extension = file.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    extension.is_some_and(|e| ["mp4", "mov", "mkv", "webm"].contains(&e.as_str()))
}

/// A relative file name as a relative address: nothing in it is taken for a scheme, a query or an escape.
fn address(file: &str) -> String {
    let mut out = String::new();
    for b in file.trim_start_matches('/').bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn image(picture: &Picture, alt: &str) -> Markup {
    html! { img src=(picture.uri) width=(picture.width) height=(picture.height) alt=(alt); }
}

fn sheet(sheet: &Sheet) -> Markup {
    // Wide pictures need wider columns to show a face.
    let pictures = sheet.rows.iter().flat_map(|row| row.pictures.iter().flatten());
    let aspect = pictures.map(|p| p.width as f64 / p.height as f64).fold(1.0, f64::max);
    html! {
        div.sheet style=(format!("--cell:{:.0}px", 130.0 * aspect.min(2.0))) {
            @for (k, frame) in sheet.columns.iter().enumerate() {
                div.column data-frame=(frame) {
                    span.number { (frame) }
                    @for row in &sheet.rows {
                        figure {
                            @match row.pictures.get(k).and_then(Option::as_ref) {
                                Some(p) => (image(p, &format!("{} {frame}", row.label))),
                                None => div.missing { "none" },
                            }
                            figcaption { (row.label) }
                        }
                    }
                }
            }
        }
    }
}

/// Small charts that follow each other stand side by side.
fn charts(report: &Report) -> Markup {
    html! {
        @for group in report.charts.chunk_by(|a: &Chart, b: &Chart| a.small && b.small) {
            @if group[0].small {
                div.multiples { @for c in group { (chart::figure(c, report)) } }
            } @else {
                @for c in group { (chart::figure(c, report)) }
            }
        }
    }
}

fn events(events: &[Event]) -> Markup {
    let mut sorted: Vec<&Event> = events.iter().collect();
    sorted.sort_by_key(|e| (e.frame, e.last, e.kind));
    let kinds = [EventKind::Gap, EventKind::Outlier, EventKind::Clipped, EventKind::Note];
    let frames = |kind| sorted.iter().filter(|e| e.kind == kind).fold(0, |n: usize, e| n.saturating_add(e.len()));
    html! {
        p.counts {
            @for kind in kinds {
                @let n = frames(kind);
                @if n > 0 {
                    @let unit = if n == 1 { " frame" } else { " frames" };
                    span { i.mark.(kind_class(kind)) {} (kind.name()) ": " (n) (unit) }
                }
            }
        }
        div.scroll {
            table {
                thead { tr { th.n { "frames" } th.n { "count" } th { "kind" } th { "what" } } }
                tbody {
                    @for e in sorted.iter().take(MAX_EVENTS) {
                        tr data-frame=(e.frame) {
                            td.n { (e.frame) @if e.last > e.frame { "–" (e.last) } }
                            td.n { (e.len()) }
                            td.kind { i.mark.(kind_class(e.kind)) {} (e.kind.name()) }
                            td { (e.text) }
                        }
                    }
                }
            }
        }
        @if sorted.len() > MAX_EVENTS { p.small { "and " (sorted.len() - MAX_EVENTS) " more" } }
    }
}

fn timings(stages: &[Stage]) -> Markup {
    let longest = stages.iter().map(|s| s.seconds).filter(|s| s.is_finite()).fold(0.0, f64::max);
    let per_frame = |s: &Stage| 1000.0 * s.seconds / s.frames as f64;
    html! {
        table.timing {
            thead {
                tr { th { "stage" } th.wide {} th.n { "s" } th.n { "frames" } th.n { "ms/frame" } th.n { "frames/s" } }
            }
            tbody {
                @for s in stages {
                    @let known = s.seconds.is_finite() && s.seconds >= 0.0;
                    @let each = known && s.frames > 0 && s.seconds > 0.0;
                    tr {
                        td { (s.name) }
                        td.wide {
                            @if known && longest > 0.0 {
                                i.bar style=(format!("width:{:.1}%", 100.0 * s.seconds / longest)) {}
                            }
                        }
                        td.n { @if known { (figure(s.seconds)) } @else { "–" } }
                        td.n { @if s.frames > 0 { (s.frames) } @else { "–" } }
                        td.n { @if each { (figure(per_frame(s))) } @else { "–" } }
                        td.n { @if each { (figure(1000.0 / per_frame(s))) } @else { "–" } }
                    }
                }
            }
        }
    }
}

/// Two decimals, fewer for large figures.
fn figure(v: f64) -> String {
    let digits = if v < 10.0 { 2 } else { usize::from(v < 1000.0) };
    format!("{v:.digits$}")
}

fn expressions(grid: &ExpressionGrid) -> Markup {
    html! {
        @if !grid.caption.is_empty() { p.small { (grid.caption) } }
        div.expressions {
            @for cell in &grid.cells {
                figure { (image(&cell.picture, &cell.name)) figcaption { b { (cell.name) } span { (cell.measure) } } }
            }
        }
    }
}

fn models(models: &[ModelLine]) -> Markup {
    html! {
        table {
            thead { tr { th { "role" } th { "model" } th { "blake3" } th { "licence" } } }
            tbody {
                @for m in models {
                    tr {
                        td { (m.role) }
                        td { (m.name) }
                        td {
                            @if m.hash.is_empty() { "–" }
                            @else { code title=(m.hash) { (m.hash.chars().take(12).collect::<String>()) } }
                        }
                        td { (m.licence) }
                    }
                }
            }
        }
    }
}

fn settings(settings: &[SettingLine]) -> Markup {
    let changed = settings.iter().filter(|s| s.changed).count();
    html! {
        p.small { (changed) " of " (settings.len()) " controls differ from their defaults." }
        div.settings {
            @for s in settings {
                div class=[s.changed.then_some("changed")] {
                    code { (s.id) }
                    span {
                        b { @if s.value.is_empty() { "–" } @else { (s.value) } }
                        @if s.changed { small { "default " (s.default) } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_beside_the_report() {
        assert_eq!(address("a b/c?d#e.mp4"), "a%20b/c%3Fd%23e.mp4");
        assert_eq!(address("javascript:alert(1)"), "javascript%3Aalert%281%29");
        assert_eq!(address("//host/x.mp4"), "host/x.mp4");
        assert_eq!(address("é.png"), "%C3%A9.png");
        assert_eq!([is_video("a.MP4"), is_video("a.png"), is_video("mp4")], [true, false, false]);
    }

    #[test]
    fn times() {
        assert_eq!([0.0, 0.123, 9.99, 12.34, 1234.5].map(figure).join(" "), "0.00 0.12 9.99 12.3 1234");
        let page = timings(&[
            Stage { name: "a".into(), seconds: 4.0, frames: 200 },
            Stage { name: "b".into(), seconds: 1.0, frames: 0 },
            Stage { name: "c".into(), seconds: f64::NAN, frames: 3 },
        ])
        .into_string();
        assert!(page.contains("width:100.0%") && page.contains("width:25.0%"), "{page}");
        assert!(page.contains("<td class=\"n\">20.0</td><td class=\"n\">50.0</td>"), "{page}");
        assert!(!page.contains("NaN"), "{page}");
    }
}

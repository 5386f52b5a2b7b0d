//! The crop's way over the plate.

use super::{CropPlot, Report};
use crate::frame::Window;
use maud::{Markup, html};
use std::fmt::Write as _;

/// Colours of the path from the first to the last frame: blue, teal, green, yellow, which grey prints tell apart too.
const TIME: [[f64; 3]; 4] = [[92.0, 108.0, 222.0], [38.0, 160.0, 170.0], [92.0, 196.0, 106.0], [246.0, 222.0, 80.0]];

/// Pieces that the path is coloured in.
const PIECES: usize = 64;

/// The colour at a part `t` of the shot, as CSS has it.
fn time_colour(t: f64) -> String {
    let at = t.clamp(0.0, 1.0) * (TIME.len() - 1) as f64;
    let i = (at as usize).min(TIME.len() - 2);
    let [r, g, b] =
        std::array::from_fn(|c| (TIME[i][c] + (at - i as f64) * (TIME[i + 1][c] - TIME[i][c])).round() as u8);
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn sound(w: &Window) -> bool {
    [w.x0, w.y0, w.width, w.height].iter().all(|v| v.is_finite() && v.abs() < 1e7)
}

fn centre(w: &Window) -> [f64; 2] {
    [w.x0 + 0.5 * w.width, w.y0 + 0.5 * w.height]
}

/// The centres as lines, one or several for each of [`PIECES`]: colour and path data. Points nearer than `least` pixels
/// to the one before are left out.
fn pieces(path: &[Option<Window>], least: f64) -> Vec<(String, String)> {
    let known = |i: usize| path[i].as_ref().filter(|w| sound(w)).map(centre);
    let mut out = Vec::new();
    if path.is_empty() {
        return out;
    }
    let count = PIECES.min(path.len() - 1).max(1);
    for piece in 0..count {
        // Pieces share their ends.
        let (from, to) = (piece * (path.len() - 1) / count, (piece + 1) * (path.len() - 1) / count);
        let mut d = String::new();
        let mut last: Option<[f64; 2]> = None;
        for i in from..=to {
            let Some(c) = known(i) else {
                last = None;
                continue;
            };
            match last {
                Some(l) if (c[0] - l[0]).hypot(c[1] - l[1]) < least && i != to => continue,
                Some(_) => {
                    let _ = write!(d, " {:.1} {:.1}", c[0], c[1]);
                }
                None => {
                    let _ = write!(d, "M{:.1} {:.1}h0L{:.1} {:.1}", c[0], c[1], c[0], c[1]);
                }
            }
            last = Some(c);
        }
        if !d.is_empty() {
            out.push((time_colour((piece as f64 + 0.5) / count as f64), d));
        }
    }
    out
}

/// First, middle and last known window of the path: index and window.
fn stations(path: &[Option<Window>]) -> Vec<(usize, Window)> {
    let known: Vec<(usize, Window)> =
        path.iter().enumerate().filter_map(|(i, w)| Some((i, (*w)?))).filter(|(_, w)| sound(w)).collect();
    let Some(last) = known.len().checked_sub(1) else { return Vec::new() };
    let mut at = vec![0, last / 2, last];
    at.dedup();
    at.into_iter().map(|k| known[k]).collect()
}

/// The drawing and its legend.
pub(super) fn figure(plot: &CropPlot, report: &Report) -> Markup {
    let (w, h) = (plot.plate.0.max(1) as f64, plot.plate.1.max(1) as f64);
    let path = &plot.path[..plot.path.len().min(report.frames.max(1))];
    let stations = stations(path);
    let part = |i: usize| if path.len() > 1 { i as f64 / (path.len() - 1) as f64 } else { 0.0 };
    // Windows may reach beyond the plate, but one far away must not shrink it to a dot.
    let windows = || stations.iter().map(|s| s.1).chain(Some(plot.window).filter(sound));
    let reach = |v: f64, size: f64| v.clamp(-size, 2.0 * size);
    let margin = 0.02 * w.max(h);
    let x0 = windows().fold(0.0, |x: f64, o| x.min(reach(o.x0, w))) - margin;
    let y0 = windows().fold(0.0, |y: f64, o| y.min(reach(o.y0, h))) - margin;
    let x1 = windows().fold(w, |x: f64, o| x.max(reach(o.x0 + o.width, w))) + margin;
    let y1 = windows().fold(h, |y: f64, o| y.max(reach(o.y0 + o.height, h))) + margin;
    let row = |name: &str, o: &Window| {
        let c = centre(o);
        html! {
            td { (name) }
            td.n { (format!("{:.1}, {:.1}", c[0], c[1])) }
            td.n { (format!("{:.1} x {:.1}", o.width, o.height)) }
        }
    };
    html! {
        figure.crop {
            svg viewBox=(format!("{x0:.1} {y0:.1} {:.1} {:.1}", x1 - x0, y1 - y0)) role="img"
                aria-label="crop path on the plate" {
                rect.plate x="0" y="0" width=(w) height=(h) {}
                line.grid x1=(w / 2.0) x2=(w / 2.0) y1="0" y2=(h) {}
                line.grid x1="0" x2=(w) y1=(h / 2.0) y2=(h / 2.0) {}
                @if sound(&plot.window) { (outline(&plot.window, "static", None)) }
                @for (i, o) in &stations { (outline(o, "station", Some(time_colour(part(*i))))) }
                @for (colour, d) in pieces(path, 0.001 * w.hypot(h)) { path.way stroke=(colour) d=(d) {} }
            }
            div.side {
                table {
                    thead { tr { th {} th { "window" } th.n { "centre, px" } th.n { "size, px" } } }
                    tbody {
                        @if sound(&plot.window) { tr { td { i.box {} } (row("whole shot", &plot.window)) } }
                        @for (i, o) in &stations {
                            tr {
                                td { i.box.solid style=(format!("border-color:{}", time_colour(part(*i)))) {} }
                                (row(&format!("frame {}", report.number(*i)), o))
                            }
                        }
                    }
                }
                p.small {
                    "Plate " (plot.plate.0) " x " (plot.plate.1) " px" @if path.len() > 1 { "; way of the centre:" }
                }
                @if path.len() > 1 {
                    @let stops = (0..=6).map(|k| time_colour(f64::from(k) / 6.0)).collect::<Vec<_>>().join(",");
                    div.ramp {
                        span { (report.first) }
                        i style=(format!("background:linear-gradient(90deg,{stops})")) {}
                        span { (report.number(path.len() - 1)) }
                    }
                }
                @if !plot.caption.is_empty() { p { (plot.caption) } }
            }
        }
    }
}

fn outline(o: &Window, class: &str, colour: Option<String>) -> Markup {
    let n = |v: f64| format!("{v:.1}");
    let (width, height) = (n(o.width.max(0.0)), n(o.height.max(0.0)));
    html! { rect class=(class) x=(n(o.x0)) y=(n(o.y0)) width=(width) height=(height) stroke=[colour] {} }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f64) -> Option<Window> {
        Some(Window::square(x, 10.0, 20.0))
    }

    #[test]
    fn the_way_in_pieces_with_gaps() {
        let path = [at(0.0), at(10.0), None, at(30.0)];
        let drawn = pieces(&path, 0.5);
        // Each piece is one step; those at the gap are dots.
        let d: Vec<&str> = drawn.iter().map(|p| p.1.as_str()).collect();
        assert_eq!(d, ["M10.0 20.0h0L10.0 20.0 20.0 20.0", "M20.0 20.0h0L20.0 20.0", "M40.0 20.0h0L40.0 20.0"]);
        assert_eq!(pieces(&[at(1.0)], 0.5).len(), 1);
        assert_eq!((time_colour(0.0), time_colour(1.0)), ("#5c6cde".into(), "#f6de50".into()));
    }

    #[test]
    fn a_still_crop_stays_short() {
        let path: Vec<Option<Window>> = (0..10_000).map(|i| at(0.001 * f64::from(i % 2))).collect();
        let length: usize = pieces(&path, 0.5).iter().map(|p| p.1.len()).sum();
        assert!(length < 64 * 60, "{length}");
    }

    #[test]
    fn first_middle_last() {
        let path = [None, at(1.0), at(2.0), Some(Window::square(f64::NAN, 0.0, 1.0)), at(4.0), None];
        assert_eq!(stations(&path).iter().map(|s| s.0).collect::<Vec<_>>(), [1, 2, 4]);
        assert_eq!(stations(&path[..2]).len(), 1);
        assert!(stations(&[None]).is_empty());
        assert!(pieces(&[None, None], 0.5).is_empty());
    }

    #[test]
    fn windows_beyond_the_plate_are_in_view() {
        let plot = CropPlot {
            plate: (100, 50),
            window: Window::square(-20.0, -10.0, 80.0),
            path: vec![],
            caption: String::new(),
        };
        let svg = figure(&plot, &Report::default()).into_string();
        assert!(svg.contains(r#"viewBox="-22.0 -12.0 124.0 84.0""#), "{svg}");
        assert!(svg.contains("20.0, 30.0") && svg.contains("80.0 x 80.0"), "{svg}");
    }
}

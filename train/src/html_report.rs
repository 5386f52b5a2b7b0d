//! A run's page: curves, figures and pictures in one file that needs no network.

use crate::validate::{Figures, Validation};
use base64::Engine;
use headgan::media::atomic;
use headgan::{Error, Result};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// A curve's points: step and value.
type Points = Vec<(f64, f64)>;
/// Width and height of a chart in pixels.
const SIZE: (f64, f64) = (360.0, 140.0);
/// Points of a curve; longer ones are averaged.
const POINTS: usize = 300;

/// What the page shows.
#[derive(Default)]
pub struct HtmlReport {
    pub title: String,
    /// A line below.
    pub state: String,
    /// Name and points.
    pub curves: Vec<(String, Points)>,
    pub validations: Vec<Validation>,
    /// The last validation's pictures.
    pub sheet: Option<headgan::frame::Frame>,
    /// The configuration, as JSON.
    pub config: String,
}

impl HtmlReport {
    /// Writes it.
    ///
    /// # Errors
    /// [`Error::Input`] where that fails.
    pub fn write(&self, path: &Path) -> Result<()> {
        let html = self.html()?;
        atomic::write(path, |out| out.write_all(html.as_bytes()).map_err(|e| atomic::write_error(path, e)))
    }

    fn html(&self) -> Result<String> {
        let mut out = String::from(
            "<!doctype html><meta charset=utf-8><style>\
             body{font:14px sans-serif;background:#171717;color:#ddd;margin:24px}table{border-collapse:collapse}\
             td,th{padding:3px 12px;text-align:right}figure{display:inline-block;margin:8px}svg{background:#222}\
             polyline{fill:none;stroke:#6cf;stroke-width:1.2}figcaption{color:#aaa}img{max-width:100%}pre{color:#999}\
             </style>",
        );
        let mut push = |text: String| out.push_str(&text);
        push(format!("<title>{0}</title><h1>{0}</h1><p>{1}</p>", escaped(&self.title), escaped(&self.state)));
        if !self.validations.is_empty() {
            push("<h2>People held out</h2><table><tr><th>step<th>pairs".into());
            for of in ["copy the reference", "Draft", "warped", "result"] {
                push(format!("<th colspan=3>{of}"));
            }
            push("<tr><th><th>".into());
            push("<th>L1<th>PSNR<th>SSIM".repeat(4));
            for v in self.validations.iter().rev() {
                push(format!("<tr><td>{}<td>{}", v.step, v.pairs));
                for Figures { l1, psnr, ssim } in [v.copy, v.draft, v.warped, v.result] {
                    push(format!("<td>{l1:.2}<td>{psnr:.2}<td>{ssim:.3}"));
                }
            }
            push("</table>".into());
        }
        if let Some(sheet) = &self.sheet {
            let mut bytes = Vec::new();
            image::ImageEncoder::write_image(
                image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90),
                &sheet.to_rgb8(),
                sheet.width as u32,
                sheet.height as u32,
                image::ExtendedColorType::Rgb8,
            )
            .map_err(|e| Error::engine(format!("the validation's pictures cannot be encoded ({e})")).with_source(e))?;
            let text = base64::engine::general_purpose::STANDARD.encode(bytes);
            push(format!(
                "<p><img src=\"data:image/jpeg;base64,{text}\" alt=\"reference, driver, Draft, warped, result\">"
            ));
        }
        push("<h2>Losses</h2>".into());
        for (name, points) in &self.curves {
            push(chart(name, points));
        }
        push(format!("<h2>Configuration</h2><pre>{}</pre>", escaped(&self.config)));
        Ok(out)
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A curve as SVG, its points averaged where there are many.
fn chart(name: &str, points: &Points) -> String {
    let finite: Points = points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let step = finite.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let n = part.len() as f64;
        (part.iter().map(|p| p.0).sum::<f64>() / n, part.iter().map(|p| p.1).sum::<f64>() / n)
    };
    let shown: Points = finite.chunks(step).map(mean).collect();
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
    };
    let (x0, x1) = range(&mut shown.iter().map(|p| p.0));
    let (y0, y1) = range(&mut shown.iter().map(|p| p.1));
    let (w, h) = SIZE;
    let at = |v: f64, lo: f64, hi: f64| if hi > lo { (v - lo) / (hi - lo) } else { 0.5 };
    let mut line = String::new();
    for (x, y) in &shown {
        let _ = write!(line, "{:.1},{:.1} ", w * at(*x, x0, x1), (h - 8.0) * (1.0 - at(*y, y0, y1)) + 4.0);
    }
    let last = shown.last().map_or(f64::NAN, |p| p.1);
    format!(
        "<figure><svg width={w} height={h}><polyline points=\"{line}\"/></svg><figcaption>{}: {y0:.4} to {y1:.4}, now \
         {last:.4}</figcaption></figure>",
        escaped(name)
    )
}

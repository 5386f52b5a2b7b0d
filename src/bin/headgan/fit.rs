//! `headgan fit`: the faces of a picture, with all that the fit knows.

use crate::common::{self, ModelArgs};
use clap::Args as ClapArgs;
use headgan::Result;
use headgan::face::report::{FaceReport, FitReport};
use headgan::reenact::context::no_face;
use std::process::ExitCode;

/// Find and fit the faces of a picture.
#[derive(ClapArgs)]
pub struct Args {
    /// Image (of a video, its first frame).
    image: String,
    /// Print the whole fit as one JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let picture = common::picture(&args.image, None)?;
    let context = args.models.context(args.models.device())?;
    let networks = context.networks();
    let mut report = FitReport::default();
    for (seen, fit) in networks.faces(&picture)? {
        report.faces.push(FaceReport::from_fit(&seen, &fit, &networks.morphable)?);
    }
    if report.faces.is_empty() {
        return Err(no_face(&args.image));
    }
    if args.json {
        common::print_json(&report)?;
    } else {
        for (i, f) in report.faces.iter().enumerate() {
            let [x0, y0, x1, y1] = f.rect;
            let p = f.pose_deg;
            say!(
                "face {i}: box {x0:.1} {y0:.1} {x1:.1} {y1:.1}, score {:.3}, yaw {:.1}, pitch {:.1}, roll {:.1} degrees",
                f.score,
                p.yaw,
                p.pitch,
                p.roll
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

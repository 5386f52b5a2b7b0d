//! `headgan pncc`: the PNCC of a picture's faces.

use crate::common::{self, ModelArgs};
use clap::Args as ClapArgs;
use headgan::Result;
use headgan::frame::Frame;
use headgan::media::still::{self, StillOptions};
use headgan::morphable::Mesh;
use headgan::pncc::Rasterizer;
use headgan::reenact::context::no_face;
use headgan::reenact::view;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write the PNCC of a picture: same size, black background, x as red, y as green, z as blue.
#[derive(ClapArgs)]
pub struct Args {
    /// Image (of a video, its first frame).
    image: String,
    /// The picture to write, e.g. pncc.png.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    models: ModelArgs,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let options = StillOptions::default();
    still::check_options(&args.output, &options)?;
    let picture = common::picture(&args.image, None)?;
    let context = args.models.context(args.models.device())?;
    let networks = context.networks();
    let faces = networks.faces(&picture)?;
    if faces.is_empty() {
        return Err(no_face(&args.image));
    }
    // All faces as one mesh: the nearer one hides the other as far as depths can be compared.
    let model = networks.morphable.model();
    let (mut all, mut triangles, mut ncc) = (Mesh::default(), Vec::new(), Vec::new());
    for (_, fit) in &faces {
        let first = all.vertices.len() as u32;
        all.vertices.extend(networks.morphable.mesh(fit)?.vertices);
        triangles.extend(model.skin_triangles().iter().map(|t| t.map(|v| v + first)));
        ncc.extend_from_slice(&model.ncc);
    }
    let mut raster = Rasterizer::new();
    let mut bytes = Vec::new();
    raster.render(&all.vertices, &triangles, picture.width, picture.height)?.pncc_into(&ncc, &mut bytes)?;
    let mut out = Frame::new(1, 1);
    view::rgb(&mut out, picture.width, picture.height, &bytes);
    view::tag_data(&mut out, &args.output);
    still::write(&args.output, &out, &options)?;
    say!("{}: {} face{}", args.output.display(), faces.len(), if faces.len() == 1 { "" } else { "s" });
    Ok(ExitCode::SUCCESS)
}

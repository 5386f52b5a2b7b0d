//! What each expression and each region does, measured at the landmarks.

use super::{Expression, Region, RigSettings};
use crate::Result;
use crate::morphable::{Euler, ImageCamera, Mesh, PreparedMorphable};

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The control's id: `expr_smile`, `region_mouth`.
    pub control: String,
    /// What is measured.
    pub measure: &'static str,
    /// Without the control.
    pub before: f32,
    /// With an expression at strength 1, with a region's weight at 0.
    pub after: f32,
    /// `mm` on a face of mean size, or `%`.
    pub unit: &'static str,
    /// What the name promises.
    pub wanted: Wanted,
}

/// How a measurement must change, in its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// By this much at least.
    Rise(f32),
    /// By this much at least.
    Fall(f32),
    /// By this much at most, up or down.
    Stay(f32),
}

impl Row {
    /// Whether the measurement changes as it must.
    pub fn holds(&self) -> bool {
        let change = self.after - self.before;
        match self.wanted {
            Wanted::Rise(by) => change >= by,
            Wanted::Fall(by) => change <= -by,
            Wanted::Stay(within) => change.abs() <= within,
        }
    }
}

/// Landmarks in millimetres, x to the picture's right, y up, seen from the front.
type Points = [[f32; 2]; 68];

/// Measures every expression at strength 1 on the face at rest of identity `shape` (the mean of the regressor's
/// outputs, where the model has them), and every region at weight 0 on a strong expression.
///
/// # Errors
/// `Model` when `shape` does not fit the model or its landmarks do not lie like those of a face.
pub fn check(model: &PreparedMorphable, shape: &[f32]) -> Result<Vec<Row>> {
    let rig = model.rig()?;
    let m = model.model();
    let identity = model.identity(shape)?;
    let statistic = |list: &[f32], otherwise: f32| -> Vec<f32> {
        let from = 12 + m.shape_dim;
        (0..m.expr_dim).map(|k| list.get(from + k).copied().unwrap_or(otherwise)).collect()
    };
    let rest = statistic(&m.param_mean, 0.0);
    let camera = ImageCamera::new(rig.millimetres as f32, Euler::default().rotation(), [0.0; 3]);
    let (mut mesh, mut spare) = (Mesh::default(), Mesh::default());
    let mut points = |expr: &[f32], settings: &RigSettings| -> Result<Points> {
        rig.mesh_into(model, &identity, expr, &rest, &camera, settings, &mut spare, &mut mesh)?;
        Ok(std::array::from_fn(|i| {
            let [x, y, _] = mesh.vertices[rig.landmarks[i] as usize];
            [x, -y]
        }))
    };
    let mut rows = Vec::new();
    let before = points(&rest, &RigSettings::default())?;
    for &expression in Expression::ALL {
        let after = points(&rest, &RigSettings::single(expression, 1.0))?;
        for Measure { name, unit, wanted, of } in measures(expression) {
            let control = format!("expr_{}", expression.id());
            // Shares are of the face at rest.
            let by = if unit == "%" { 100.0 / of(&before) } else { 1.0 };
            rows.push(Row { control, measure: name, before: by * of(&before), after: by * of(&after), unit, wanted });
        }
    }
    // One deviation of every coefficient, one up, one down.
    let mut acted = rest.clone();
    for (k, (e, s)) in acted.iter_mut().zip(statistic(&m.param_std, 1.0)).enumerate() {
        *e += if k % 2 == 0 { s } else { -s };
    }
    let full = points(&acted, &RigSettings::default())?;
    for region in Region::ALL {
        let mut settings = RigSettings::default();
        settings.regions[region as usize] = 0.0;
        let held = points(&acted, &settings)?;
        let motion = |p: &Points, mine: bool| -> f32 {
            // The nose belongs to no region.
            let all = Region::ALL.iter().filter(|r| (**r == region) == mine).flat_map(|r| r.landmarks());
            all.map(|i| (0..2).map(|c| (p[i][c] - before[i][c]).powi(2)).sum::<f32>()).sum::<f32>().sqrt()
        };
        for (measure, mine, wanted) in [
            ("motion of its landmarks", true, Wanted::Fall(98.0)),
            ("motion of the other regions' landmarks", false, Wanted::Stay(5.0)),
        ] {
            let after = 100.0 * motion(&held, mine) / motion(&full, mine).max(f32::MIN_POSITIVE);
            let control = format!("region_{}", region.id());
            rows.push(Row { control, measure, before: 100.0, after, unit: "%", wanted });
        }
    }
    Ok(rows)
}

/// A number that an expression changes.
struct Measure {
    name: &'static str,
    unit: &'static str,
    wanted: Wanted,
    of: fn(&Points) -> f32,
}

const fn mm(name: &'static str, wanted: Wanted, of: fn(&Points) -> f32) -> Measure {
    Measure { name, unit: "mm", wanted, of }
}

const fn share(name: &'static str, wanted: Wanted, of: fn(&Points) -> f32) -> Measure {
    Measure { name, unit: "%", wanted, of }
}

fn height(p: &Points, list: impl IntoIterator<Item = usize>) -> f32 {
    let (sum, n) = list.into_iter().fold((0.0, 0.0), |(s, n), i| (s + p[i][1], n + 1.0));
    sum / n
}

fn width(p: &Points) -> f32 {
    p[54][0] - p[48][0]
}

fn right_eye(p: &Points) -> f32 {
    height(p, [37, 38]) - height(p, [40, 41])
}

fn left_eye(p: &Points) -> f32 {
    height(p, [43, 44]) - height(p, [46, 47])
}

fn measures(expression: Expression) -> Vec<Measure> {
    use Wanted::{Fall, Rise, Stay};
    match expression {
        Expression::JawOpen => vec![
            mm("height of the chin", Fall(10.0), |p| p[8][1]),
            mm("height of the lower lip", Fall(10.0), |p| p[57][1]),
            mm("gap between the lips", Rise(10.0), |p| p[62][1] - p[66][1]),
        ],
        Expression::Smile => vec![
            mm("height of the mouth's corners", Rise(3.0), |p| height(p, [48, 54])),
            mm("width of the mouth", Rise(5.0), width),
        ],
        Expression::SmileLeft => vec![
            mm("height of the left corner", Rise(3.0), |p| p[54][1]),
            mm("height of the right corner", Stay(0.5), |p| p[48][1]),
        ],
        Expression::SmileRight => vec![
            mm("height of the right corner", Rise(3.0), |p| p[48][1]),
            mm("height of the left corner", Stay(0.5), |p| p[54][1]),
        ],
        Expression::Frown => vec![mm("height of the mouth's corners", Fall(3.0), |p| height(p, [48, 54]))],
        Expression::Pucker => vec![mm("width of the mouth", Fall(10.0), width)],
        Expression::Wide => vec![mm("width of the mouth", Rise(8.0), width)],
        Expression::LipsPress => {
            vec![mm("height of both lips' red", Fall(2.5), |p| p[51][1] - p[62][1] + p[66][1] - p[57][1])]
        }
        Expression::MouthLeft => {
            vec![mm("place of the lips, to the face's left", Rise(4.0), |p| 0.5 * (p[51][0] + p[57][0]))]
        }
        Expression::Sneer => vec![
            mm("height of the upper lip", Rise(2.0), |p| height(p, [50, 51, 52])),
            mm("height of the lower lip", Stay(1.0), |p| height(p, [56, 57, 58])),
        ],
        Expression::BrowRaise => vec![mm("height of the brows", Rise(4.0), |p| height(p, 17..27))],
        Expression::BrowRaiseLeft => vec![
            mm("height of the left brow", Rise(4.0), |p| height(p, 22..27)),
            mm("height of the right brow", Stay(0.5), |p| height(p, 17..22)),
        ],
        Expression::BrowRaiseRight => vec![
            mm("height of the right brow", Rise(4.0), |p| height(p, 17..22)),
            mm("height of the left brow", Stay(0.5), |p| height(p, 22..27)),
        ],
        Expression::BrowInnerRaise => vec![
            mm("height of the brows' inner ends", Rise(4.0), |p| height(p, [21, 22])),
            mm("height of their outer ends", Stay(1.5), |p| height(p, [17, 26])),
        ],
        Expression::BrowLower => vec![
            mm("height of the brows", Fall(2.0), |p| height(p, 18..26)),
            mm("distance of their inner ends", Fall(2.0), |p| p[22][0] - p[21][0]),
        ],
        Expression::EyesWide => vec![
            share("opening of the right eye", Rise(20.0), right_eye),
            share("opening of the left eye", Rise(20.0), left_eye),
        ],
        Expression::BlinkLeft => vec![
            share("opening of the left eye", Fall(75.0), left_eye),
            share("opening of the right eye", Stay(3.0), right_eye),
        ],
        Expression::BlinkRight => vec![
            share("opening of the right eye", Fall(75.0), right_eye),
            share("opening of the left eye", Stay(3.0), left_eye),
        ],
    }
}

//! Scenes: what a step sees. Layers of pictures, each scaled, tilted and mirrored, over a drawn ground; faces that are
//! covered or cut off stop being asked for.

use super::picture::{Face, Picture, area, intersection};
use crate::affine::{Affine, apply, inverse};
use crate::regressor::view::augment;
use headgan::face::bgr::Bgr8;
use headgan::frame::Rect;
use headgan::random::Rng;

/// Sides of the smallest faces that are shown, in pixels, and that must be found.
const SMALLEST: [f64; 2] = [11.0, 10.0];
/// The largest, in shares of the scene's shorter side.
const LARGEST: f64 = 0.95;
/// The largest of several that are pasted side by side.
const PASTED: f64 = 0.5;
/// A face of which less than this share can be seen may be found or not, and below the second it is gone.
const MIN_VISIBLE: [f32; 2] = [0.7, 0.08];
/// How many times a place is looked for.
const TRIES: usize = 12;

/// What scenes are made of.
pub struct Sources<'a> {
    /// Pictures of each labelled file.
    pub photos: &'a [Vec<Picture>],
    pub heads: &'a [Picture],
    /// Share of drawn heads among the pictures.
    pub drawn: f64,
}

impl<'a> Sources<'a> {
    /// Any picture. Files are drawn alike, however many pictures they have.
    fn picture(&self, rng: &mut Rng) -> Option<&'a Picture> {
        if !self.heads.is_empty() && (self.photos.is_empty() || rng.unit() < self.drawn) {
            return self.heads.get(rng.below(self.heads.len()));
        }
        let file = self.photos.get(rng.below(self.photos.len()))?;
        file.get(rng.below(file.len()))
    }

    /// A picture and one of its faces that must be found.
    fn face(&self, rng: &mut Rng) -> Option<(&'a Picture, &'a Face)> {
        for _ in 0..TRIES {
            let picture = self.picture(rng)?;
            let required: Vec<&Face> = picture.faces.iter().filter(|f| f.required).collect();
            if !required.is_empty() {
                return Some((picture, required[rng.below(required.len())]));
            }
        }
        None
    }
}

/// A picture with faces, being painted.
#[derive(Debug, Clone)]
pub struct Scene {
    pub picture: Bgr8,
    pub faces: Vec<Face>,
}

/// A scene of `width` x `height` pixels; it follows from the sources and the random numbers alone.
pub fn compose(sources: &Sources, (width, height): (usize, usize), rng: &mut Rng) -> Scene {
    let kind = rng.unit();
    if kind < 0.12 {
        return compose_without_faces(sources, (width, height), rng);
    }
    let mut scene = Scene { picture: draw_background(width, height, rng), faces: Vec::new() };
    let shorter = width.min(height) as f64;
    let whole = scene.bounds();
    if kind < 0.62 {
        // One picture, as a camera would take it.
        let size = log_uniform(SMALLEST[0], LARGEST * shorter, rng);
        let centre = scene.random_point(0.45 * size, rng);
        scene.paste_face(sources, size, centre, None, rng);
        if rng.unit() < 0.12 {
            scene.erase(sources, rng);
        }
    } else {
        // Several side by side and within each other.
        if rng.unit() < 0.35 {
            let size = log_uniform(SMALLEST[0], 0.3 * shorter, rng);
            let centre = scene.random_point(0.5 * size, rng);
            scene.paste_face(sources, size, centre, None, rng);
        } else {
            scene.paste_background(sources, whole, rng);
        }
        for _ in 0..1 + rng.below(6) {
            let size = log_uniform(SMALLEST[0], PASTED * shorter, rng);
            let free = |scene: &Scene, [x, y]: [f64; 2]| {
                let r = (0.6 * size) as f32;
                let (x, y) = (x as f32, y as f32);
                let box_ = Rect { x0: x - r, y0: y - r, x1: x + r, y1: y + r };
                scene.faces.iter().all(|f| area(&intersection(&f.rect, &box_)) < 0.1 * area(&f.rect))
            };
            let centre = (0..TRIES).map(|_| scene.random_point(0.5 * size, rng)).find(|c| free(&scene, *c));
            let Some(centre) = centre else { continue };
            let mut reach = || (0.55 + 1.2 * rng.unit()) * size;
            let (left, top, right, bottom) = (reach(), reach(), reach(), reach());
            let window = [centre[0] - left, centre[1] - top, centre[0] + right, centre[1] + bottom];
            let window = window.map(|v| v as f32);
            let window = Rect { x0: window[0], y0: window[1], x1: window[2], y1: window[3] };
            scene.paste_face(sources, size, centre, Some(window), rng);
        }
    }
    scene.occlude(sources, rng);
    augment(&mut scene.picture, rng);
    for face in &mut scene.faces {
        face.required &= f64::from(face.size()) >= SMALLEST[1];
    }
    scene
}

/// A scene without a face: parts of pictures in which there is none, over a drawn ground.
pub fn compose_without_faces(sources: &Sources, (width, height): (usize, usize), rng: &mut Rng) -> Scene {
    let mut scene = Scene { picture: draw_background(width, height, rng), faces: Vec::new() };
    for _ in 0..rng.below(5) {
        let window = if rng.unit() < 0.5 { scene.bounds() } else { scene.random_window(rng) };
        scene.paste_background(sources, window, rng);
    }
    augment(&mut scene.picture, rng);
    scene
}

/// From `a` to `b`, evenly in the logarithm.
fn log_uniform(a: f64, b: f64, rng: &mut Rng) -> f64 {
    a * (b.max(a) / a).powf(rng.unit())
}

impl Scene {
    fn bounds(&self) -> Rect {
        Rect { x0: 0.0, y0: 0.0, x1: self.picture.width as f32, y1: self.picture.height as f32 }
    }

    /// A point at least so far from the border, as far as that can be.
    fn random_point(&self, margin: f64, rng: &mut Rng) -> [f64; 2] {
        [self.picture.width, self.picture.height].map(|n| {
            let n = n as f64;
            let margin = margin.min(0.5 * n);
            margin + rng.unit() * (n - 2.0 * margin)
        })
    }

    /// Any window.
    fn random_window(&self, rng: &mut Rng) -> Rect {
        let mut span = |n: usize| {
            let (a, b) = (rng.unit() * n as f64, rng.unit() * n as f64);
            (a.min(b) as f32, a.max(b) as f32)
        };
        let ((x0, x1), (y0, y1)) = (span(self.picture.width), span(self.picture.height));
        Rect { x0, y0, x1, y1 }
    }

    /// A face of this size at this place, with its surroundings as far as `window` (the whole scene) shows them.
    fn paste_face(&mut self, sources: &Sources, size: f64, centre: [f64; 2], window: Option<Rect>, rng: &mut Rng) {
        let Some((picture, face)) = sources.face(rng) else { return };
        let k = f64::from(face.size()).max(1.0) / size;
        let tilt = if rng.unit() < 0.25 { rng.within(0.45) } else { rng.within(0.08) };
        let side = if rng.unit() < 0.5 { -1.0 } else { 1.0 };
        let (sin, cos) = tilt.sin_cos();
        let [a, b, d, e] = [k * cos * side, -k * sin, k * sin * side, k * cos];
        let [cx, cy] = face.rect.center().map(f64::from);
        let map = [a, b, cx - a * centre[0] - b * centre[1], d, e, cy - d * centre[0] - e * centre[1]];
        let window = window.unwrap_or_else(|| self.bounds());
        self.paint(picture, &map, window, &picture.faces);
    }

    /// A part of a picture in which nothing of a face is; whether there was one.
    fn paste_background(&mut self, sources: &Sources, window: Rect, rng: &mut Rng) -> bool {
        let (w, h) = (f64::from(window.width()), f64::from(window.height()));
        if w < 2.0 || h < 2.0 {
            return false;
        }
        for _ in 0..TRIES {
            let Some(picture) = sources.picture(rng) else { return false };
            let [pw, ph] = picture.size();
            let most = (pw / w).min(ph / h);
            let k = log_uniform((0.1 * most).min(0.3), most, rng);
            let [x, y] = [(pw - k * w) * rng.unit(), (ph - k * h) * rng.unit()];
            let part = Rect { x0: x as f32, y0: y as f32, x1: (x + k * w) as f32, y1: (y + k * h) as f32 };
            let clear = |f: &Face| {
                let [mx, my] = [0.1 * f.rect.width(), 0.1 * f.rect.height()];
                let r = f.rect;
                area(&intersection(&part, &Rect { x0: r.x0 - mx, y0: r.y0 - my, x1: r.x1 + mx, y1: r.y1 + my })) == 0.0
            };
            if !picture.faces.iter().all(clear) {
                continue;
            }
            let side = if rng.unit() < 0.5 { -1.0 } else { 1.0 };
            let from = f64::from(if side < 0.0 { window.x1 } else { window.x0 });
            let map = [side * k, 0.0, x - side * k * from, 0.0, k, y - k * f64::from(window.y0)];
            self.paint(picture, &map, window, &[]);
            return true;
        }
        false
    }

    /// All faces painted over, with the heads and shoulders around them left.
    fn erase(&mut self, sources: &Sources, rng: &mut Rng) {
        for face in self.faces.clone() {
            let [mx, my] = [0.06 * face.rect.width(), 0.06 * face.rect.height()];
            let r = face.rect;
            let window = Rect { x0: r.x0 - mx, y0: r.y0 - my, x1: r.x1 + mx, y1: r.y1 + my };
            self.patch(sources, window, rng);
        }
    }

    /// Something in front of some faces, from one side.
    fn occlude(&mut self, sources: &Sources, rng: &mut Rng) {
        for face in self.faces.clone() {
            if rng.unit() >= 0.12 {
                continue;
            }
            let share = (0.12 + 0.3 * rng.unit()) as f32;
            let mut r = face.rect;
            let (w, h) = (r.width(), r.height());
            match rng.below(4) {
                0 => r.x1 = r.x0 + share * w,
                1 => r.x0 = r.x1 - share * w,
                2 => r.y1 = r.y0 + share * h,
                _ => r.y0 = r.y1 - share * h,
            }
            let m = 0.1 * w;
            self.patch(sources, Rect { x0: r.x0 - m, y0: r.y0 - m, x1: r.x1 + m, y1: r.y1 + m }, rng);
        }
    }

    /// A window of one colour, or with a part of a picture without a face.
    fn patch(&mut self, sources: &Sources, window: Rect, rng: &mut Rng) {
        if rng.unit() < 0.5 && self.paste_background(sources, window, rng) {
            return;
        }
        let colour: [u8; 3] = std::array::from_fn(|_| rng.below(256) as u8);
        let plain = Picture::new(Bgr8 { width: 1, height: 1, data: colour.to_vec() }, Vec::new());
        let (w, h) = (f64::from(window.width()).max(1.0), f64::from(window.height()).max(1.0));
        let map = [1.0 / w, 0.0, -f64::from(window.x0) / w, 0.0, 1.0 / h, -f64::from(window.y0) / h];
        self.paint(&plain, &map, window, &[]);
    }

    /// Paints a window of the scene with what `map` of its points shows of a picture, where that is in the picture, and
    /// takes `faces` of it along.
    fn paint(&mut self, source: &Picture, map: &Affine, window: Rect, faces: &[Face]) {
        let shown = intersection(&window, &intersection(&footprint(source, map), &self.bounds()));
        if area(&shown) < 1.0 {
            return;
        }
        self.faces.retain_mut(|f| {
            let left = 1.0 - area(&intersection(&f.rect, &shown)) / area(&f.rect).max(1e-6);
            f.required &= left >= MIN_VISIBLE[0];
            left >= MIN_VISIBLE[1]
        });
        for face in faces {
            let face = face.transformed(map);
            let seen = intersection(&face.rect, &shown);
            let share = area(&seen) / area(&face.rect).max(1e-6);
            if share >= MIN_VISIBLE[1] {
                self.faces.push(Face { rect: seen, required: face.required && share >= MIN_VISIBLE[0], ..face });
            }
        }
        let scale = (map[0] * map[4] - map[1] * map[3]).abs().sqrt();
        let (level, per) = source.level(scale);
        let [pw, ph] = source.size();
        let (w, h) = (level.width as i64 - 1, level.height as i64 - 1);
        let row = 3 * self.picture.width;
        for y in shown.y0.round() as usize..(shown.y1.round() as usize).min(self.picture.height) {
            for x in shown.x0.round() as usize..(shown.x1.round() as usize).min(self.picture.width) {
                let (px, py) = apply(map, [x as f64 + 0.5, y as f64 + 0.5]);
                if px < 0.0 || py < 0.0 || px >= pw || py >= ph {
                    continue;
                }
                let (lx, ly) = ((px / per - 0.5) as f32, (py / per - 0.5) as f32);
                let (fx, fy) = (lx.floor(), ly.floor());
                let (tx, ty) = (lx - fx, ly - fy);
                let at = |x: i64, y: i64| 3 * (y.clamp(0, h) * (w + 1) + x.clamp(0, w)) as usize;
                let (x0, y0) = (fx as i64, fy as i64);
                let corners = [at(x0, y0), at(x0 + 1, y0), at(x0, y0 + 1), at(x0 + 1, y0 + 1)];
                for c in 0..3 {
                    let [a, b, d, e] = corners.map(|i| f32::from(level.data[i + c]));
                    let (top, low) = (a + (b - a) * tx, d + (e - d) * tx);
                    self.picture.data[y * row + 3 * x + c] = (top + (low - top) * ty + 0.5) as u8;
                }
            }
        }
    }
}

/// The box in the scene that a picture fills.
fn footprint(source: &Picture, map: &Affine) -> Rect {
    let back = inverse(map);
    let [w, h] = source.size();
    let corners = [[0.0, 0.0], [w, 0.0], [0.0, h], [w, h]].map(|p| apply(&back, p));
    let fold = |f: fn(f64, f64) -> f64, of: fn(&(f64, f64)) -> f64| {
        corners.iter().map(of).reduce(f).unwrap_or_default() as f32
    };
    Rect {
        x0: fold(f64::min, |p| p.0),
        y0: fold(f64::min, |p| p.1),
        x1: fold(f64::max, |p| p.0),
        y1: fold(f64::max, |p| p.1),
    }
}

/// A ground that nobody photographed: two colours that run into each other, shapes, stripes, grain.
fn draw_background(width: usize, height: usize, rng: &mut Rng) -> Bgr8 {
    let colour = |rng: &mut Rng| -> [f32; 3] {
        let grey = 255.0 * rng.unit() as f32;
        std::array::from_fn(|_| (grey + 60.0 * rng.signed()).clamp(0.0, 255.0))
    };
    let (a, b) = (colour(rng), colour(rng));
    let turn = std::f64::consts::TAU * rng.unit();
    let (sin, cos) = (turn.sin() as f32, turn.cos() as f32);
    let stripes =
        if rng.unit() < 0.3 { (40.0 * rng.unit() as f32, 0.02 + 0.6 * rng.unit() as f32) } else { (0.0, 1.0) };
    let reach = (width + height) as f32 * 0.5;
    let mut values: Vec<[f32; 3]> = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let along = cos * x as f32 + sin * y as f32;
            let t = (0.5 + 0.5 * along / reach).clamp(0.0, 1.0);
            let wave = stripes.0 * (stripes.1 * along).sin();
            values.push(std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t + wave));
        }
    }
    for _ in 0..rng.below(8) {
        let ink = colour(rng);
        let round = rng.unit() < 0.5;
        let [cx, cy] = [rng.unit() * width as f64, rng.unit() * height as f64].map(|v| v as f32);
        let [rx, ry] = [width, height].map(|n| (n as f64 * log_uniform(0.02, 0.4, rng)) as f32);
        let rows = ((cy - ry).max(0.0) as usize, ((cy + ry) as usize).min(height));
        let columns = ((cx - rx).max(0.0) as usize, ((cx + rx) as usize).min(width));
        for y in rows.0..rows.1 {
            for x in columns.0..columns.1 {
                let (u, v) = ((x as f32 - cx) / rx, (y as f32 - cy) / ry);
                if !round || u * u + v * v < 1.0 {
                    values[y * width + x] = ink;
                }
            }
        }
    }
    let grain = if rng.unit() < 0.5 { 25.0 * rng.unit() as f32 } else { 0.0 };
    let mut data = Vec::with_capacity(3 * values.len());
    for v in &values {
        let n = if grain > 0.0 { grain * rng.signed() } else { 0.0 };
        data.extend_from_slice(&v.map(|c| (c + n).clamp(0.0, 255.0) as u8));
    }
    Bgr8 { width, height, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey picture whose face is a red box with a green nose.
    fn picture() -> Picture {
        let rect = Rect { x0: 40.0, y0: 30.0, x1: 80.0, y1: 80.0 };
        let mut pixels = Bgr8 { width: 120, height: 120, data: vec![128; 3 * 120 * 120] };
        let mut fill = |x: std::ops::Range<usize>, y: std::ops::Range<usize>, ink: [u8; 3]| {
            for y in y {
                for x in x.clone() {
                    pixels.data[3 * (120 * y + x)..][..3].copy_from_slice(&ink);
                }
            }
        };
        fill(40..80, 30..80, [20, 20, 230]);
        fill(54..66, 54..66, [20, 230, 20]);
        let landmarks = [[50.0, 45.0], [70.0, 45.0], [60.0, 60.0], [52.0, 72.0], [68.0, 72.0]];
        Picture::new(pixels, vec![Face { rect, landmarks, required: true }])
    }

    fn empty(n: usize) -> Scene {
        Scene { picture: Bgr8 { width: n, height: n, data: vec![0; 3 * n * n] }, faces: Vec::new() }
    }

    #[test]
    fn a_face_is_where_its_box_says() {
        let photos = [vec![picture()]];
        let sources = Sources { photos: &photos, heads: &[], drawn: 0.0 };
        for seed in 0..20 {
            let mut scene = empty(160);
            scene.paste_face(&sources, 60.0, [80.0, 70.0], None, &mut Rng(seed));
            let [face] = scene.faces[..] else { panic!("{:?}", scene.faces) };
            assert!((face.size() - 60.0).abs() < 4.0, "{face:?}");
            let [nx, ny] = face.landmarks[2].map(|v| v as usize);
            let at = |x: usize, y: usize| &scene.picture.data[3 * (160 * y + x)..][..3];
            assert!(at(nx, ny)[1] > 150, "the nose is green");
            assert!(face.landmarks[0][0] < face.landmarks[1][0] && face.landmarks[3][0] < face.landmarks[4][0]);
            let red = |x: usize, y: usize| at(x, y)[2] > 180;
            let columns: Vec<usize> = (0..160).filter(|&x| (0..160).any(|y| red(x, y))).collect();
            let edges = [columns[0] as f32, columns[columns.len() - 1] as f32 + 1.0];
            // A tilted box is wider than the ellipse in it.
            assert!(
                (edges[0] - face.rect.x0).abs() < 12.0 && (edges[1] - face.rect.x1).abs() < 12.0,
                "{edges:?} {face:?}"
            );
        }
    }

    #[test]
    fn what_is_covered_is_not_asked_for() {
        let photos = [vec![picture()]];
        let sources = Sources { photos: &photos, heads: &[], drawn: 0.0 };
        let mut scene = empty(160);
        scene.paste_face(&sources, 60.0, [80.0, 80.0], None, &mut Rng(1));
        let r = scene.faces[0].rect;
        let half = Rect { x1: 0.5 * (r.x0 + r.x1), ..r };
        let mut covered = scene.clone();
        covered.patch(&sources, half, &mut Rng(1));
        assert!(covered.faces.len() == 1 && !covered.faces[0].required);
        scene.erase(&sources, &mut Rng(1));
        assert!(scene.faces.is_empty());
        // Cut off at the border.
        let mut cut = empty(160);
        cut.paste_face(&sources, 60.0, [5.0, 80.0], None, &mut Rng(2));
        assert!(cut.faces.iter().all(|f| !f.required && f.rect.x0 >= 0.0), "{:?}", cut.faces);
    }

    #[test]
    fn scenes_repeat_differ_and_are_now_and_then_empty() {
        let (photos, heads) = ([vec![picture()]], [picture()]);
        let sources = Sources { photos: &photos, heads: &heads, drawn: 0.3 };
        let scene = |seed| compose(&sources, (128, 96), &mut Rng::from_parts(&[seed]));
        assert_eq!(scene(1).picture, scene(1).picture);
        assert_eq!(scene(1).faces, scene(1).faces);
        assert_ne!(scene(1).picture, scene(2).picture);
        let counts: Vec<usize> = (0..60).map(|s| scene(s).faces.len()).collect();
        assert!(counts.contains(&0) && counts.contains(&1) && counts.iter().any(|n| *n > 2), "{counts:?}");
        let all: Vec<Face> = (0..60).flat_map(|s| scene(s).faces).collect();
        let inside = |r: &Rect| r.x0 >= 0.0 && r.y0 >= 0.0 && r.x1 <= 128.0 && r.y1 <= 96.0 && area(r) > 0.0;
        assert!(all.iter().all(|f| inside(&f.rect)));
        assert!(all.iter().filter(|f| f.required).all(|f| f.size() >= 10.0));
        let sizes: Vec<f32> = all.iter().filter(|f| f.required).map(Face::size).collect();
        assert!(sizes.iter().any(|s| *s < 20.0) && sizes.iter().any(|s| *s > 50.0), "{sizes:?}");
    }

    #[test]
    fn nothing_of_a_face_is_in_a_blank() {
        let photos = [vec![picture()]];
        let sources = Sources { photos: &photos, heads: &[], drawn: 0.0 };
        let mut rng = Rng(4);
        for _ in 0..30 {
            let mut scene = empty(64);
            let whole = scene.bounds();
            if scene.paste_background(&sources, whole, &mut rng) {
                assert!(scene.faces.is_empty());
                assert!(scene.picture.data.iter().all(|v| (127..=129).contains(v)), "grey alone");
            }
        }
    }
}

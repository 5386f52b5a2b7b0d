//! What the surfaces look like: skin, eyes, hair, cloth, background, under a key light, a fill light and the sky.

use super::noise::{fractal, noise};
use super::scene::{COLLAR, Material, hairline};
use crate::morphable::canonical::modes::{edges, height};
use crate::morphable::canonical::surface::landmarks;
use crate::synthetic::appearance::{Appearance, HairStyle};
use crate::synthetic::vec3::unit;

/// One sample of the picture.
pub struct Sample {
    pub material: Material,
    pub texture: [f32; 3],
    /// Out of the surface: x right, y down, z towards the viewer.
    pub normal: [f32; 3],
    /// How much of the key light arrives, 0..1.
    pub light: f32,
    /// Where the eyes look, in the head's axes, y up.
    pub gaze: [f32; 3],
    /// How far the mouth is open (the coefficient).
    pub open: f32,
}

/// A curve over x from 0 on, sampled.
struct Table(Vec<f32>);

impl Table {
    const STEP: f32 = 0.25;

    fn new(edge: &[[f64; 3]]) -> Table {
        Table((0..240).map(|i| height(edge, f64::from(i as f32 * Table::STEP)) as f32).collect())
    }

    fn at(&self, x: f32) -> f32 {
        let f = (x / Table::STEP).clamp(0.0, (self.0.len() - 2) as f32);
        let i = f as usize;
        self.0[i] + (self.0[i + 1] - self.0[i]) * (f - i as f32)
    }
}

/// The surfaces of one [`Appearance`], in linear light.
pub struct Shader {
    look: Appearance,
    key_direction: [f32; 3],
    fill_direction: [f32; 3],
    upper_lid: Table,
    lower_lid: Table,
    upper_lip: Table,
    lower_lip: Table,
    upper_lip_outer: Table,
    lower_lip_outer: Table,
    /// The right brow from the inner to the outer end.
    brow: Vec<[f32; 2]>,
    discs: Vec<Disc>,
}

/// A soft light on the wall.
struct Disc {
    /// Middle, as shares of the picture, and radius.
    place: [f32; 3],
    light: [f32; 3],
}

impl Shader {
    pub fn new(look: &Appearance) -> Shader {
        let e = edges();
        let l = landmarks();
        Shader {
            key_direction: unit(look.key_direction),
            fill_direction: unit(look.fill_direction),
            look: look.clone(),
            upper_lid: Table::new(&e.upper_lid),
            lower_lid: Table::new(&e.lower_lid),
            upper_lip: Table::new(&e.upper_lip),
            lower_lip: Table::new(&e.lower_lip),
            upper_lip_outer: Table::new(&e.upper_lip_outer),
            lower_lip_outer: Table::new(&e.lower_lip_outer),
            discs: (0..6)
                .map(|k| {
                    let r = |i: u32| noise([(look.seed * 31 + k * 7 + i) as f32 + 0.5, 2.5, 0.5]);
                    let tint = mix([1.0, 0.78, 0.50], [0.55, 0.80, 1.0], r(3));
                    Disc {
                        place: [r(0) * 1.2 - 0.1, 1.1 * r(1) - 0.05, 0.05 + 0.13 * r(2)],
                        light: tint.map(|c| 0.11 * (0.4 + r(4)) * c),
                    }
                })
                .collect(),
            brow: (22..27).map(|i| [l[i][0] as f32, l[i][1] as f32]).collect(),
        }
    }

    /// Takes away the lights that may stand half behind the head, where they look like smears.
    pub fn clear_wall(&mut self) {
        self.discs.retain(|disc| !(0.16..0.84).contains(&disc.place[0]));
    }

    /// Light that leaves the sample towards the viewer.
    pub fn shade(&self, s: &Sample) -> [f32; 3] {
        match s.material {
            Material::Skin | Material::Ear => self.skin(s),
            Material::Eye => self.eye(s),
            Material::Tear => self.matte(s, [0.42, 0.20, 0.17], 0.55, 0.25),
            Material::Cavity => {
                // The lips' inner side, then darkness.
                let t = smooth(0.3, 5.0, s.texture[0]);
                let wet: [f32; 3] = std::array::from_fn(|c| self.look.lips[c] * 0.75);
                self.matte(s, mix(wet, [0.060, 0.012, 0.010], t), 0.8 - 0.55 * t, 0.2 * (1.0 - t))
            }
            Material::Teeth => self.teeth(s),
            Material::Tongue => self.matte(s, [0.42, 0.12, 0.11], 0.45, 0.25),
            Material::Hair => self.hair(s),
            Material::Cloth => self.cloth(s),
        }
    }

    /// Diffuse light: `wrap` per channel lets it reach around the edge, as it does through skin.
    fn diffuse(&self, s: &Sample, wrap: [f32; 3]) -> [f32; 3] {
        let look = &self.look;
        let (k, f) = (dot(s.normal, self.key_direction), dot(s.normal, self.fill_direction));
        let sky = 0.5 - 0.5 * s.normal[1];
        std::array::from_fn(|c| {
            let lit = |x: f32| ((x + wrap[c]) / (1.0 + wrap[c])).max(0.0).powf(1.0 + 0.6 * wrap[c]);
            // The edge of a shadow on skin is reddish.
            let shadow = s.light.powf(1.0 - 0.8 * wrap[c]);
            look.key[c] * lit(k) * shadow + look.fill[c] * lit(f) + look.ambient[c] * (0.55 + 0.65 * sky)
        })
    }

    fn specular(&self, normal: [f32; 3], light: f32, power: f32) -> f32 {
        let half = |l: [f32; 3]| dot(normal, unit([l[0], l[1], l[2] + 1.0])).max(0.0).powf(power);
        half(self.key_direction) * light + 0.25 * half(self.fill_direction)
    }

    fn matte(&self, s: &Sample, albedo: [f32; 3], exposure: f32, gloss: f32) -> [f32; 3] {
        let d = self.diffuse(s, [0.3, 0.2, 0.2]);
        let shine = gloss * self.specular(s.normal, s.light, 40.0);
        std::array::from_fn(|c| exposure * (albedo[c] * d[c] + shine))
    }

    fn skin(&self, s: &Sample) -> [f32; 3] {
        let look = &self.look;
        let p = s.texture;
        let seed = look.seed as f32 * 17.0;
        let scaled = |k: f32| [p[0] * k + seed, p[1] * k, p[2] * k];
        let ear = s.material == Material::Ear;
        let mut color = look.skin;
        let mut ao = 1.0f32;
        let mut gloss = 0.085f32;
        let mut normal = s.normal;
        if ear {
            // Darker in the shell, redder at the rim.
            let (u, v) = (p[0], p[1]);
            let shell = gauss([u + 0.1, v - 0.1], [0.0, 0.0], [0.38, 0.45]);
            ao *= 1.0 - 0.5 * shell;
            color = [color[0] * 1.02, color[1] * 0.84, color[2] * 0.82];
            gloss *= 0.6;
        } else {
            let (x, y) = (p[0].abs(), p[1]);
            let front = smooth(22.0, 48.0, p[2]);
            // Blotches, pores, freckles.
            let blotch = fractal(scaled(0.06), 3) - 0.5;
            let pores = fractal(scaled(0.85), 2) - 0.5;
            for (c, v) in color.iter_mut().enumerate() {
                *v *= 1.0 + [0.12, 0.20, 0.22][c] * blotch + 0.10 * pores;
            }
            gloss *= 0.7 + 0.9 * (fractal(scaled(0.5), 2) - 0.1);
            let bump = |d: [f32; 3]| noise([scaled(1.1)[0] + d[0], p[1] * 1.1 + d[1], p[2] * 1.1 + d[2]]);
            let here = bump([0.0; 3]);
            normal = unit([
                normal[0] - 0.05 * (bump([0.4, 0.0, 0.0]) - here),
                normal[1] + 0.05 * (bump([0.0, 0.4, 0.0]) - here),
                normal[2],
            ]);
            if front > 0.0 {
                let red = 0.9 * gauss([x, y], [41.0, -3.0], [15.0, 13.0])
                    + 0.9 * gauss([x, y], [0.0, -9.0], [12.0, 9.0])
                    + 0.35 * gauss([x, y], [0.0, -70.0], [16.0, 10.0]);
                color = [color[0] * (1.0 + 0.03 * red), color[1] * (1.0 - 0.17 * red), color[2] * (1.0 - 0.15 * red)];
                if look.freckles > 0.0 {
                    let zone = gauss([x, y], [26.0, 2.0], [20.0, 13.0]) + gauss([x, y], [0.0, 5.0], [14.0, 12.0]);
                    let spot = smooth(0.70, 0.82, noise(scaled(0.55))) * zone.min(1.0) * look.freckles;
                    color = mix(color, [color[0] * 0.62, color[1] * 0.48, color[2] * 0.42], spot);
                }
                // Under the eyes and around them the skin is thin.
                let socket = gauss([x, y], [28.0, 18.0], [14.0, 4.5]) + 0.8 * gauss([x, y], [19.0, 29.0], [6.0, 7.0]);
                color = mix(color, [color[0] * 0.80, color[1] * 0.70, color[2] * 0.75], 0.6 * socket.min(1.0));
                ao *= 1.0 - 0.28 * gauss([x, y], [17.0, 31.0], [6.0, 6.0]);
                ao *= 1.0 - 0.30 * gauss([x, y], [9.0, -21.5], [10.0, 3.0]);
                ao *= 1.0 - 0.22 * gauss([x, y], [0.0, -54.5], [13.0, 3.5]);
                ao *= 1.0 - 0.35 * gauss([x, y], [18.5, -15.0], [2.0, 5.0]);
                // Nostrils.
                let nostril = smooth(1.25, 0.75, ((x - 6.6) / 3.6).hypot((y + 17.6) / 1.5));
                color = mix(color, [0.03, 0.010, 0.008], 0.93 * nostril);
                gloss *= 1.0 - nostril;
                if look.beard > 0.0 {
                    self.beard(&mut color, p, front);
                }
                self.brow(&mut color, &mut gloss, p);
                self.lips(&mut color, &mut gloss, &mut ao, p);
                self.lids(&mut color, &mut gloss, &mut ao, p);
            }
            // Under the chin, and the neck below it.
            ao *= 1.0 - 0.30 * smooth(-165.0, -92.0, p[1]) * smooth(-76.0, -92.0, p[1]);
            if look.style != HairStyle::Shaved {
                let line = hairline(p.map(f64::from), look.style) as f32;
                let strand = noise([p[0] * 0.9 + seed, p[1] * 0.16, p[2] * 0.5]);
                let cover = smooth(-5.0, 3.0, line - 5.0 * (1.0 - strand));
                ao *= 1.0 - 0.25 * smooth(-16.0, 0.0, line);
                color = mix(color, look.hair, cover);
                gloss *= 1.0 - 0.8 * cover;
            }
        }
        let lit = Sample { normal, ..*s };
        let d = self.diffuse(&lit, [0.42, 0.24, 0.16]);
        let rim = (1.0 - s.normal[2].max(0.0)).powi(3);
        let shine = gloss * (self.specular(normal, s.light, 14.0) + 0.8 * self.specular(normal, s.light, 55.0)) * ao;
        std::array::from_fn(|c| ao * color[c] * d[c] + shine * look.key[c] + 0.05 * rim * look.ambient[c])
    }

    fn beard(&self, color: &mut [f32; 3], p: [f32; 3], front: f32) {
        let (x, y) = (p[0].abs(), p[1]);
        let cheek = smooth(-12.0, -36.0, y + 0.25 * (62.0 - x).max(0.0) - 8.0);
        let moustache = smooth(-20.0, -25.0, y) * smooth(34.0, 24.0, x);
        let zone = cheek.max(moustache) * front * smooth(-104.0, -88.0, y);
        let stubble = 0.55 + 0.45 * smooth(0.35, 0.7, noise([p[0] * 2.4, p[1] * 1.9, p[2] * 2.4]));
        *color = mix(*color, [0.045, 0.036, 0.032], self.look.beard * zone * stubble * 0.9);
    }

    fn brow(&self, color: &mut [f32; 3], gloss: &mut f32, p: [f32; 3]) {
        let q = [p[0].abs(), p[1]];
        if q[0] < 12.0 || q[0] > 66.0 || !(30.0..62.0).contains(&q[1]) {
            return;
        }
        // Nearest place on the arc: way along it (0..4) and signed distance.
        let (mut best, mut along, mut above) = (f32::INFINITY, 0.0, 0.0);
        for (i, w) in self.brow.windows(2).enumerate() {
            let d = [w[1][0] - w[0][0], w[1][1] - w[0][1]];
            let o = [q[0] - w[0][0], q[1] - w[0][1]];
            let t = ((d[0] * o[0] + d[1] * o[1]) / (d[0] * d[0] + d[1] * d[1])).clamp(0.0, 1.0);
            let (ex, ey) = (o[0] - t * d[0], o[1] - t * d[1]);
            let distance = ex.hypot(ey);
            if distance < best {
                (best, along, above) = (distance, i as f32 + t, ey);
            }
        }
        let wide = (4.0 - 0.55 * along) * (0.8 + 0.2 * self.look.brow_weight);
        // Hairs rise at the inner end and lie along the arc further out.
        let lean = 0.9 - 0.2 * along;
        let stroke = noise([(q[0] - lean * above * 1.1) * 1.7, above * 0.25 + along, p[0].signum() * 3.0]);
        let edge = smooth(wide + 1.0, wide * 0.2, best + 0.8 * wide * (0.5 - stroke));
        let cover = self.look.brow_weight * edge * (0.68 + 0.32 * smooth(0.25, 0.6, stroke));
        *color = mix(*color, self.look.brows, cover);
        *gloss *= 1.0 - 0.7 * cover;
    }

    fn lips(&self, color: &mut [f32; 3], gloss: &mut f32, ao: &mut f32, p: [f32; 3]) {
        let (x, y) = (p[0].abs(), p[1]);
        if x > 32.0 || !(-58.0..-24.0).contains(&y) {
            return;
        }
        let (upper, lower) = (self.upper_lip_outer.at(x), self.lower_lip_outer.at(x));
        let middle = 0.5 * (self.upper_lip.at(x) + self.lower_lip.at(x));
        let soft = 0.7;
        let inside = smooth(-soft, soft, upper - y) * smooth(-soft, soft, y - lower) * smooth(26.0, 23.0, x);
        let wrinkles = noise([p[0] * 1.1, y * 0.12, 4.0]) - 0.5;
        let shade = 1.0 + 0.22 * wrinkles - if y > middle { 0.16 } else { 0.0 };
        let lip = self.look.lips.map(|c| c * shade);
        *color = mix(*color, lip, 0.85 * inside);
        *gloss += 0.05 * inside * (1.0 + wrinkles);
        // Where the lips meet.
        *ao *= 1.0 - 0.5 * smooth(2.2, 0.3, (y - middle).abs() - 1.3) * smooth(27.0, 23.0, x);
        *ao *= 1.0 - 0.25 * gauss([x, y], [26.5, -41.0], [2.5, 3.0]);
    }

    fn lids(&self, color: &mut [f32; 3], gloss: &mut f32, ao: &mut f32, p: [f32; 3]) {
        let (x, y) = (p[0].abs(), p[1]);
        if !(14.0..52.0).contains(&x) || !(12.0..46.0).contains(&y) {
            return;
        }
        let (upper, lower) = (self.upper_lid.at(x), self.lower_lid.at(x));
        let along = smooth(17.5, 21.0, x) * smooth(47.0, 43.5, x);
        let above = y - upper;
        let below = lower - y;
        // Lashes as a dark line, thicker outwards; the fold of the lid; a lighter line below.
        let thick = 0.7 + 0.05 * (x - 19.0).max(0.0);
        let line = smooth(thick + 0.9, 0.4, above) * smooth(-1.5, -0.5, above) * along;
        let low = smooth(1.1, 0.0, below) * smooth(-1.5, -0.5, below) * along;
        let fold = gauss([0.0, above], [0.0, 5.2 - 0.02 * (x - 31.0).powi(2)], [1.0, 0.75]) * along;
        *color = mix(*color, [0.020, 0.012, 0.010], 0.90 * line);
        *color = mix(*color, [0.10, 0.045, 0.040], 0.55 * low);
        *ao *= 1.0 - 0.34 * fold;
        *gloss *= 1.0 - 0.8 * line;
    }

    fn eye(&self, s: &Sample) -> [f32; 3] {
        let left = s.texture[0] > 50.0;
        let local = [s.texture[0] - if left { 100.0 } else { 0.0 }, s.texture[1], s.texture[2]];
        let d = unit(local);
        // Both eyes look at something some half metre away.
        let g = unit([s.gaze[0] - if left { 0.035 } else { -0.035 }, s.gaze[1], s.gaze[2]]);
        let angle = dot(d, g).clamp(-1.0, 1.0).acos();
        const IRIS: f32 = 0.475;
        const PUPIL: f32 = 0.185;
        let veins = fractal([local[0] * 0.8, local[1] * 0.8, 9.0], 3) - 0.5;
        let edge = smooth(0.55, 1.15, angle);
        let white = [0.74 - 0.10 * edge, 0.70 - 0.20 * edge - 0.05 * veins, 0.67 - 0.20 * edge - 0.05 * veins];
        let around = (d[1] - g[1]).atan2(d[0] - g[0]);
        let fibre = fractal([around.cos() * 7.0, around.sin() * 7.0, angle * 5.0], 3);
        let ring = smooth(PUPIL, PUPIL + 0.10, angle);
        let base = self.look.iris.map(|c| c * (0.45 + 1.2 * fibre) * (1.45 - 0.75 * ring));
        let mut color = mix(base, base.map(|c| 0.15 * c), smooth(IRIS - 0.10, IRIS - 0.01, angle));
        color = mix([0.006, 0.005, 0.005], color, smooth(PUPIL - 0.025, PUPIL + 0.025, angle));
        color = mix(color, white, smooth(IRIS - 0.03, IRIS + 0.03, angle));
        // The upper lid and its lashes shade the ball.
        let lid = 1.0 - 0.62 * smooth(0.2, 4.4, local[1]) - 0.15 * smooth(-1.5, -4.5, local[1]);
        let corner = 1.0 - 0.35 * smooth(8.0, 12.0, local[0].abs());
        let light = diffuse_soft(self.diffuse(s, [0.5; 3]));
        // The light itself, mirrored: small, sharp, above the pupil.
        let dome = unit([
            s.normal[0] + 0.35 * (d[0] - g[0]) * smooth(IRIS + 0.05, IRIS - 0.1, angle),
            s.normal[1] - 0.35 * (d[1] - g[1]) * smooth(IRIS + 0.05, IRIS - 0.1, angle),
            s.normal[2],
        ]);
        let shine =
            |l: [f32; 3], size: f32| smooth(1.0 - size, 1.0 - 0.5 * size, dot(dome, unit([l[0], l[1], l[2] + 1.0])));
        let gleam = 1.1
            * shine([self.key_direction[0] * 0.75, self.key_direction[1] * 0.45, self.key_direction[2]], 0.011)
            + 0.18 * shine(self.fill_direction, 0.02);
        std::array::from_fn(|c| lid * corner * color[c] * light[c] + gleam * 0.9)
    }

    fn teeth(&self, s: &Sample) -> [f32; 3] {
        let [arc, t, _] = s.texture;
        let gap = (std::f32::consts::PI * arc / 7.3).sin().abs();
        let gum = smooth(0.24, 0.10, t - 0.10 * gap);
        let enamel = mix([0.36, 0.28, 0.20], [0.70, 0.66, 0.57], smooth(0.0, 0.22, gap));
        let color = mix(enamel, [0.42, 0.14, 0.13], gum);
        // The sides of the arch lie in the dark of the mouth.
        let deep = (1.0 - 0.8 * smooth(6.0, 21.0, arc.abs())) * (0.12 + 0.88 * smooth(-0.05, 0.25, s.open));
        let d = self.diffuse(&Sample { light: 0.35 + 0.65 * s.light, ..*s }, [0.5; 3]);
        let shine = 0.12 * self.specular(s.normal, s.light, 60.0);
        std::array::from_fn(|c| deep * (0.62 * color[c] * d[c] + shine))
    }

    fn hair(&self, s: &Sample) -> [f32; 3] {
        let p = s.texture;
        let seed = self.look.seed as f32 * 3.0;
        let line = hairline(p.map(f64::from), self.look.style) as f32;
        // Strands run from the crown down, so they differ with the angle around it and hardly along the way.
        let (x, z) = (p[0] + 6.0, p[2] - 4.0);
        let out = x.hypot(z).max(1.0);
        let bend = 0.22 * (fractal([p[0] * 0.02 + seed, p[1] * 0.02, p[2] * 0.02], 2) - 0.5);
        let (a, b) = (x / out + bend * z / out, z / out - bend * x / out);
        let fine = fractal([a * 95.0, b * 95.0, p[1] * 0.02 + seed], 2);
        let lock = fractal([a * 13.0, b * 13.0, p[1] * 0.008 + seed], 2);
        let strand = 0.62 * fine + 0.38 * lock;
        let tone = 0.3 + 1.4 * smooth(0.2, 0.8, strand);
        // A band of light across the strands where they turn towards the light.
        let tilt = 0.35 * (fine - 0.5) + 0.25 * (lock - 0.5);
        let n = unit([s.normal[0], s.normal[1] + tilt, s.normal[2]]);
        let band = self.specular(n, s.light, 18.0);
        let d = self.diffuse(&Sample { normal: n, ..*s }, [0.25; 3]);
        let root = 0.55 + 0.45 * smooth(0.0, 14.0, line);
        std::array::from_fn(|c| {
            let h = self.look.hair[c];
            root * (h * tone * d[c] * 1.15
                + band * (1.3 * h + 0.02) * (2.2 * strand - 0.35).max(0.0) * self.look.key[c])
        })
    }

    fn cloth(&self, s: &Sample) -> [f32; 3] {
        let p = s.texture;
        let collar = COLLAR.map(|v| v as f32);
        let across = (p[0] / collar[0]).hypot((p[2] - collar[2]) / collar[1]);
        if across < 0.97 {
            return self.skin(&Sample { material: Material::Skin, ..*s });
        }
        let weave = 0.94 + 0.12 * noise([p[0] * 0.9, p[1] * 0.9, p[2] * 0.9]);
        let fold = fractal([p[0] * 0.018, p[1] * 0.010, p[2] * 0.01 + self.look.seed as f32], 3) - 0.5;
        let n = unit([s.normal[0] + 0.5 * fold, s.normal[1] + 0.2 * fold, s.normal[2]]);
        // The collar's rib.
        let weave = weave * (1.0 - 0.25 * gauss([across, 0.0], [1.09, 0.0], [0.012, 1.0]));
        // In the shade of the head towards the neck.
        let near = gauss([p[0], p[2] * 0.6], [0.0, 20.0], [75.0, 60.0]) * smooth(-185.0, -140.0, p[1]);
        let d = self.diffuse(&Sample { normal: n, ..*s }, [0.15; 3]);
        std::array::from_fn(|c| self.look.cloth[c] * weave * (1.0 - 0.35 * near) * d[c])
    }

    /// The wall behind: a gradient, soft lights, and a window frame whose straight lines show any warp.
    pub fn background(&self, at: [f32; 2], aspect: f32) -> [f32; 3] {
        let look = &self.look;
        let [x, y] = [at[0] * aspect, at[1]];
        let mut color = mix(look.background[0], look.background[1], smooth(-0.1, 1.1, y));
        for disc in &self.discs {
            let [cx, cy, size] = disc.place;
            let light = smooth(size, size * 0.72, (x - aspect * cx).hypot(y - cy));
            for (c, tint) in color.iter_mut().zip(disc.light) {
                *c += light * tint;
            }
        }
        // Uprights and a shelf.
        let bar = |v: f32, middle: f32, half: f32| smooth(half + 0.003, half, (v - middle).abs());
        let lines = bar(x, 0.13 * aspect, 0.008)
            .max(bar(x, 0.88 * aspect, 0.008))
            .max(bar(y, 0.30, 0.006))
            .max(bar(y, 0.66, 0.006));
        mix(color, color.map(|c| 0.38 * c + 0.012), 0.85 * lines)
    }
}

/// Eyes are wet and see the whole room: light on them varies less than on skin.
fn diffuse_soft(d: [f32; 3]) -> [f32; 3] {
    d.map(|v| 0.25 + 0.62 * v)
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn mix(a: [f32; 3], b: [f32; 3], t: f32) -> [f32; 3] {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

/// From 0 at `a` to 1 at `b`, in either direction.
fn smooth(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn gauss(p: [f32; 2], at: [f32; 2], width: [f32; 2]) -> f32 {
    let (a, b) = ((p[0] - at[0]) / width[0], (p[1] - at[1]) / width[1]);
    (-0.5 * (a * a + b * b)).exp()
}

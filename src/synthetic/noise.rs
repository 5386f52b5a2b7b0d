//! Smooth random fields: value noise on a lattice with a hash for its values.

fn hash(x: i32, y: i32, z: i32) -> f32 {
    let mut h = (x as u32).wrapping_mul(0x8da6_b343)
        ^ (y as u32).wrapping_mul(0xd816_3841)
        ^ (z as u32).wrapping_mul(0xcb1a_b31f);
    h = (h ^ (h >> 15)).wrapping_mul(0x2c1b_3c6d);
    h = (h ^ (h >> 12)).wrapping_mul(0x297a_2d39);
    h ^= h >> 15;
    (h >> 8) as f32 / (1u32 << 24) as f32
}

/// Smooth noise, 0..1, one feature per unit of length.
pub fn noise(p: [f32; 3]) -> f32 {
    let base = p.map(f32::floor);
    let f: [f32; 3] = std::array::from_fn(|c| {
        let t = p[c] - base[c];
        t * t * (3.0 - 2.0 * t)
    });
    let [x, y, z] = base.map(|v| v as i32);
    let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
    let plane = |z: i32| {
        let row = |y: i32| mix(hash(x, y, z), hash(x.wrapping_add(1), y, z), f[0]);
        mix(row(y), row(y.wrapping_add(1)), f[1])
    };
    mix(plane(z), plane(z.wrapping_add(1)), f[2])
}

/// Sum of `octaves` noises, each of half the size and half the weight of the one before; 0..1.
pub fn fractal(p: [f32; 3], octaves: u32) -> f32 {
    let (mut sum, mut weight, mut total, mut k) = (0.0, 1.0, 0.0, 1.0);
    for _ in 0..octaves {
        sum += weight * noise(p.map(|v| v * k));
        total += weight;
        weight *= 0.5;
        k *= 2.03;
    }
    sum / total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smooth_and_in_range() {
        let mut last = noise([0.0, 0.3, -5.1]);
        let (mut low, mut high) = (1.0f32, 0.0f32);
        for i in 1..20_000 {
            let v = noise([i as f32 * 0.01, 0.3, -5.1]);
            assert!((0.0..=1.0).contains(&v) && (v - last).abs() < 0.03);
            (low, high, last) = (low.min(v), high.max(v), v);
        }
        assert!(low < 0.3 && high > 0.7);
        assert!((0.0..=1.0).contains(&fractal([3.3, 2.0, 1.0], 4)));
    }
}

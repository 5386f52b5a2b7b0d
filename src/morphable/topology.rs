//! Borders of a mesh, and the lips among them.

use std::collections::{BTreeMap, HashMap};

/// Closed chains of edges that belong to one triangle only, in the order of their lowest vertex.
pub(crate) fn border_loops(triangles: &[[u32; 3]]) -> Vec<Vec<u32>> {
    let mut edges: HashMap<(u32, u32), (u32, u32, u32)> = HashMap::new();
    for t in triangles {
        for i in 0..3 {
            let (a, b) = (t[i], t[(i + 1) % 3]);
            edges.entry((a.min(b), a.max(b))).or_insert((0, a, b)).0 += 1;
        }
    }
    // A border edge a -> b in its triangle's direction; borders of a manifold give each vertex one successor.
    let mut next: BTreeMap<u32, u32> = edges.into_values().filter(|e| e.0 == 1).map(|(_, a, b)| (a, b)).collect();
    let mut loops = Vec::new();
    while let Some((first, mut at)) = next.pop_first() {
        let mut chain = vec![first];
        while at != first {
            chain.push(at);
            match next.remove(&at) {
                Some(b) => at = b,
                None => break,
            }
        }
        if chain.len() >= 3 {
            loops.push(chain);
        }
    }
    loops
}

/// The border of the mouth cut at its corners: the upper and the lower lip's rim, both from the smallest x to the
/// largest. `at` gives a vertex's position, y up.
pub(crate) fn lip_chains(mouth: &[u32], at: impl Fn(u32) -> [f32; 3]) -> Option<(Vec<u32>, Vec<u32>)> {
    let x = |i: usize| at(mouth[i])[0];
    let n = mouth.len();
    let left = (0..n).min_by(|&a, &b| x(a).total_cmp(&x(b)))?;
    let right = (0..n).max_by(|&a, &b| x(a).total_cmp(&x(b)))?;
    let walk = |step: usize| -> Vec<u32> {
        let mut at = left;
        let mut chain = vec![mouth[at]];
        while at != right {
            at = (at + step) % n;
            chain.push(mouth[at]);
        }
        chain
    };
    let (one, two) = (walk(1), walk(n - 1));
    let height = |c: &[u32]| c.iter().map(|&v| at(v)[1]).sum::<f32>() / c.len() as f32;
    Some(if height(&one) > height(&two) { (one, two) } else { (two, one) })
}

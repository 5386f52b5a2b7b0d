//! Adam (<https://arxiv.org/abs/1412.6980>), as torch.optim has it. Of its own because tch's optimiser cannot hand out
//! its state, and a run must resume exactly.

use std::collections::BTreeMap;
use tch::{Tensor, no_grad};

/// torch's default.
const EPS: f64 = 1e-8;

/// First and second moments by the weights' names.
#[derive(Debug, Default)]
pub struct Adam {
    pub moments: BTreeMap<String, (Tensor, Tensor)>,
    /// Steps taken.
    pub steps: u64,
}

impl Adam {
    /// Moves the weights that have gradients, which are multiplied with `shrink` first.
    pub fn step(&mut self, weights: &mut BTreeMap<String, Tensor>, rate: f64, betas: [f64; 2], shrink: f64) {
        self.steps += 1;
        let [b1, b2] = betas;
        let (c1, c2) = (1.0 - b1.powf(self.steps as f64), 1.0 - b2.powf(self.steps as f64));
        no_grad(|| {
            for (name, weight) in weights {
                let gradient = weight.grad();
                if !gradient.defined() {
                    continue;
                }
                let gradient = if shrink == 1.0 { gradient } else { gradient * shrink };
                let zero = || (weight.zeros_like(), weight.zeros_like());
                let (m, v) = self.moments.entry(name.clone()).or_insert_with(zero);
                let _ = m.lerp_(&gradient, 1.0 - b1);
                let _ = v.g_mul_scalar_(b2).g_add_(&(&gradient * &gradient * (1.0 - b2)));
                let denominator = v.sqrt() / c2.sqrt() + EPS;
                let _ = weight.g_sub_(&(&*m / denominator * (rate / c1)));
            }
        });
    }
}

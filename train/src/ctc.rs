//! The loss of connectionist temporal classification, which acoustic models are trained with.
//!
//! Graves et al., "Connectionist Temporal Classification: Labelling Unsegmented Sequence Data with Recurrent Neural Networks", ICML 2006.
//! [`headgan::audio::ctc`] has its decoding.

use tch::{Kind, Reduction, Tensor};

/// What a batch's sounds say.
#[derive(Debug, Clone, Copy)]
pub struct CtcTargets<'a> {
    /// Labels of all sentences, one after the other; the blank is none of them.
    pub labels: &'a [i64],
    /// How many labels each sentence has.
    pub lengths: &'a [i64],
}

/// The negative log probability of a batch's sentences, mean over the batch.
///
/// `logits` are [`deepspeech2`](headgan::nets::deepspeech2::deepspeech2)'s, `[n, labels, 1, t]`; of the i-th the first `moments[i]` count. A
/// sentence that does not fit into its moments adds nothing, to the gradient neither.
pub fn loss(logits: &Tensor, moments: &[i64], sentences: CtcTargets, blank: i64) -> Tensor {
    let log = logits.squeeze_dim(2).permute([2, 0, 1]).log_softmax(-1, None::<Kind>);
    let labels = Tensor::from_slice(sentences.labels);
    let sum = Tensor::ctc_loss(&log, &labels, moments, sentences.lengths, blank, Reduction::Sum, true);
    sum / moments.len().max(1) as f64
}

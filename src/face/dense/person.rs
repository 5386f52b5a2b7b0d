//! Where in a picture a person is: MediaPipe's selfie segmentation.

use super::region::{mix, sample};
use crate::engine::Executor;
use crate::frame::Frame;
use crate::nets::graph::Graph;
use crate::{Error, Result};

/// The network. It sees the whole picture, whatever its shape, as a square.
#[derive(Debug)]
pub struct Segmentation<E> {
    executor: E,
    graph: Graph,
}

impl<E: Executor> Segmentation<E> {
    /// A network whose graph has passed its check.
    ///
    /// # Errors
    /// [`Error::Model`] for a graph of another form.
    pub fn new(executor: E, graph: Graph) -> Result<Segmentation<E>> {
        if !matches!(graph.input, [3, h, w] if h == w) || graph.outputs.len() != 1 {
            return Err(Error::model("the segmentation network is not MediaPipe's: import it again"));
        }
        Ok(Segmentation { executor, graph })
    }

    /// What runs the network.
    pub fn executor(&self) -> &E {
        &self.executor
    }

    /// Side of the square that it sees and returns, pixels.
    pub fn size(&self) -> usize {
        self.graph.input[2]
    }

    /// How surely each pixel of the square shows a person, 0..1, rows from the top.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture without pixels, [`Error::Model`] for a network that gives another size than it takes.
    pub fn matte(&self, image: &Frame) -> Result<Vec<f32>> {
        if image.width == 0 || image.height == 0 {
            return Err(Error::input("a picture without pixels: give another"));
        }
        let size = self.size();
        let mut planes = vec![0.0; 3 * size * size];
        for j in 0..size {
            for i in 0..size {
                // Pixel `i` is at `i / size`, as MediaPipe has it.
                let (x, y) = ((i * image.width) as f32 / size as f32, (j * image.height) as f32 / size as f32);
                let rgb = mix(x, y, |px, py| {
                    sample(image, (px as usize).min(image.width - 1), (py as usize).min(image.height - 1))
                });
                for (c, v) in rgb.into_iter().enumerate() {
                    planes[(c * size + j) * size + i] = v;
                }
            }
        }
        let out = self.graph.run(&self.executor, &self.executor.tensor([1, 3, size, size], &planes));
        let matte = out.first().map(|(_, x)| self.executor.values(x)).filter(|m| m.len() == size * size);
        matte.ok_or_else(|| {
            Error::model("the segmentation network gives another size than MediaPipe's: import it again")
        })
    }
}

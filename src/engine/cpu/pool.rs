//! Buffers that are used again: after the first frame an engine allocates nothing for its tensors.

use super::aligned::Aligned;
use parking_lot::Mutex;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Buffers that wait for their next use at most; networks here need fewer at a time.
const MOST_FREE: usize = 128;

/// Free buffers of one engine.
#[derive(Debug, Default)]
pub struct Pool {
    free: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    buffers: Vec<Aligned>,
    /// Buffers made since the pool exists.
    made: usize,
    /// Bytes of all buffers that still exist, in use or free.
    bytes: usize,
}

impl Pool {
    /// A buffer of `len` values; what they hold is left from earlier use.
    pub fn take(self: &Arc<Self>, len: usize) -> Buffer {
        if len == 0 {
            return Buffer { data: Aligned::default(), len, pool: self.clone() };
        }
        let mut state = self.free.lock();
        // The smallest that is large enough, unless it would waste more than it holds.
        let fit = state
            .buffers
            .iter()
            .enumerate()
            .filter(|(_, b)| b.len() >= len && b.len() <= 2 * len + 4096)
            .min_by_key(|(_, b)| b.len())
            .map(|(i, _)| i);
        let data = match fit {
            Some(i) => state.buffers.swap_remove(i),
            None => {
                state.made += 1;
                state.bytes += 4 * len;
                drop(state);
                Aligned::zeros(len)
            }
        };
        Buffer { data, len, pool: self.clone() }
    }

    /// Gives all free buffers back.
    pub fn clear(&self) {
        let mut state = self.free.lock();
        let freed: usize = state.buffers.drain(..).map(|b| 4 * b.len()).sum();
        state.buffers.shrink_to_fit();
        state.bytes -= freed;
    }

    /// How many buffers were ever made, and the bytes that they hold.
    pub fn made(&self) -> (usize, usize) {
        let state = self.free.lock();
        (state.made, state.bytes)
    }
}

/// `len` values that go back to their pool when dropped.
#[derive(Debug)]
pub struct Buffer {
    data: Aligned,
    len: usize,
    pool: Arc<Pool>,
}

impl Deref for Buffer {
    type Target = [f32];
    #[inline]
    fn deref(&self) -> &[f32] {
        &self.data[..self.len]
    }
}

impl DerefMut for Buffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let data = std::mem::take(&mut self.data);
        if !data.is_empty() {
            let mut state = self.pool.free.lock();
            state.buffers.push(data);
            // Pictures of many sizes must not pile up: what has waited longest goes.
            if state.buffers.len() > MOST_FREE {
                let old = state.buffers.remove(0);
                state.bytes -= 4 * old.len();
            }
        }
    }
}

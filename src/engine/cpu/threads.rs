//! How an engine spreads work: on the calling thread alone, or on a pool of its own.

use std::sync::Arc;

/// The threads of one engine.
#[derive(Debug, Clone)]
pub struct Threads {
    pool: Option<Arc<rayon::ThreadPool>>,
    count: usize,
}

impl Threads {
    /// `count` threads; 0 stands for all cores. Falls back to the calling thread where no thread can be started.
    pub fn new(count: usize) -> Threads {
        let all = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let count = if count == 0 { all() } else { count };
        let build =
            || rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(|i| format!("headgan-{i}")).build();
        match if count > 1 { build().ok() } else { None } {
            Some(pool) => Threads { pool: Some(Arc::new(pool)), count },
            None => Threads { pool: None, count: 1 },
        }
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Calls `task(0..tasks)`, in parallel where that pays; results must not depend on the order.
    pub fn run(&self, tasks: usize, task: impl Fn(usize) + Sync + Send) {
        match &self.pool {
            Some(pool) if tasks > 1 => pool.install(|| {
                use rayon::prelude::*;
                (0..tasks).into_par_iter().with_max_len(1).for_each(&task);
            }),
            _ => (0..tasks).for_each(task),
        }
    }
}

/// A pointer that tasks share; each task writes a region of its own.
#[derive(Clone, Copy)]
pub struct SendPtr(pub *mut f32);

// SAFETY: the users give every task its own region.
unsafe impl Send for SendPtr {}
// SAFETY: as above.
unsafe impl Sync for SendPtr {}

impl SendPtr {
    pub fn get(&self) -> *mut f32 {
        self.0
    }
}

//! How many processors a host lets an effect use. Threads are the library's own.

use super::suites::Host;
use openfx::sys::generic::core::kOfxStatOK;

impl Host {
    /// 0 where the host does not say.
    pub fn processors(&self) -> usize {
        let Some(get) = self.threads.and_then(|s| s.multiThreadNumCPUs) else { return 0 };
        let mut n = 0;
        // SAFETY: a host's function.
        if unsafe { get(&mut n) } == kOfxStatOK { n as usize } else { 0 }
    }
}

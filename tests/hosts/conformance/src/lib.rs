//! A host that tests OpenFX image effects, any bundle's: it offers the suites, watches what a plugin does with them,
//! and drives it through ten levels, each in a process of its own. Linux only: what it looks at (memory, open files,
//! crashes) it looks at through Linux.
//!
//! The suites are process-wide, as callbacks of the ABI carry no pointer to their host.

#![cfg(target_os = "linux")]
#![allow(non_upper_case_globals, reason = "the constants of the C headers keep their names")]

pub mod abi;
pub mod effect;
pub mod footage;
pub mod handles;
pub mod host;
pub mod levels;
pub mod log;
pub mod params;
pub mod picture;
pub mod plugin;
pub mod props;
pub mod random;
pub mod runner;
pub mod scope;
pub mod session;
pub mod suites;
pub mod values;
pub mod variadic;
pub mod watch;

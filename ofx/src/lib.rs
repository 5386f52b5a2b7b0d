//! HeadGAN Reenact as an OpenFX image effect.
//!
//! `host` wraps what a host offers, `effect` translates between it and the library, `entry` lets neither a panic
//! nor an error across. The crate `headgan` computes everything.

// The library's name is that of the file in the bundle.
#![allow(non_snake_case)]

mod effect;
mod entry;
mod host;

use openfx::plugin_struct;
use openfx::sys::generic::core::{OfxHost, OfxPlugin, OfxPropertySetHandle, OfxStatus};
use openfx::sys_plugin_helpers::ImageEffectPluginV1;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

struct HeadGan;

impl ImageEffectPluginV1 for HeadGan {
    const PLUGIN_IDENTIFIER: &'static CStr = effect::IDENTIFIER;
    /// Grows when an old project would look different.
    const PLUGIN_VERSION_MAJOR: c_uint = 1;
    const PLUGIN_VERSION_MINOR: c_uint = 0;

    extern "C" fn set_host(host: *mut OfxHost) {
        entry::set_host(host);
    }

    extern "C" fn main_entry(
        action: *const c_char,
        handle: *const c_void,
        in_args: OfxPropertySetHandle,
        out_args: OfxPropertySetHandle,
    ) -> OfxStatus {
        entry::main_entry(action, handle, in_args, out_args)
    }
}

static PLUGIN: OfxPlugin = plugin_struct!(HeadGan);

#[unsafe(no_mangle)]
pub extern "C" fn OfxGetNumberOfPlugins() -> c_int {
    1
}

#[unsafe(no_mangle)]
pub extern "C" fn OfxGetPlugin(nth: c_int) -> *const OfxPlugin {
    if nth == 0 { &raw const PLUGIN } else { std::ptr::null() }
}

/// Called by hosts since OpenFX 1.5, before anything else.
#[unsafe(no_mangle)]
pub extern "C" fn OfxSetHost(host: *const OfxHost) -> OfxStatus {
    entry::set_host(host)
}

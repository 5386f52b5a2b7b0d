//! The host itself: one per process, as callbacks of the ABI carry no pointer to theirs.

use crate::abi::*;
use crate::effect::{self, Clip, Effect, Image};
use crate::handles::Table;
use crate::params::{self, Param, ParamSet};
use crate::props::{self, PropSet};
use crate::suites::{self, Block, Lock};
use crate::{log, properties, scope};
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::{LazyLock, Mutex, PoisonError, RwLock};

/// What kind of host the plugin meets.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Suites that are not there, by name and version; version 0 stands for every version.
    pub withheld: HashSet<(CString, c_int)>,
    /// Properties that came with OpenFX 1.3 and later are unknown, and the host names no API version.
    pub old: bool,
    /// Instances have no project properties and clips no frame ranges, as at creation in some hosts.
    pub bare: bool,
    /// A clip that is not wired answers OK with an image without data, and has no Connected property.
    pub hollow: bool,
}

/// Suites without which no image effect can work: a plugin may refuse to load without them.
pub const REQUIRED: [(&CStr, c_int); 3] = [(kOfxPropertySuite, 1), (kOfxImageEffectSuite, 1), (kOfxParameterSuite, 1)];

/// Suites that a host may lack.
pub const OPTIONAL: [(&CStr, c_int); 7] = [
    (kOfxMemorySuite, 1),
    (kOfxMultiThreadSuite, 1),
    (kOfxMessageSuite, 1),
    (kOfxMessageSuite, 2),
    (kOfxProgressSuite, 1),
    (kOfxProgressSuite, 2),
    (kOfxTimeLineSuite, 1),
];

/// The tables of everything that the host has given out.
pub struct Host {
    pub props: Table<PropSet>,
    pub effects: Table<Effect>,
    pub param_sets: Table<ParamSet>,
    pub params: Table<Param>,
    pub clips: Table<Clip>,
    /// Images that a plugin holds, by the handle of their property set.
    pub images: Mutex<HashMap<usize, Image>>,
    /// Memory of the image effect suite.
    pub blocks: Table<Block>,
    pub locks: Table<Lock>,
    profile: RwLock<Profile>,
}

static HOST: LazyLock<Host> = LazyLock::new(|| Host {
    props: Table::new("a property set"),
    effects: Table::new("an effect"),
    param_sets: Table::new("a parameter set"),
    params: Table::new("a parameter"),
    clips: Table::new("a clip"),
    images: Mutex::default(),
    blocks: Table::new("image memory"),
    locks: Table::new("a mutex"),
    profile: RwLock::default(),
});

/// The host of this process.
pub fn host() -> &'static Host {
    &HOST
}

/// Names that OpenFX 1.2 did not know.
const NEW: [&CStr; 10] = [
    c"OfxImageEffectPropColourManagementStyle",
    c"OfxImageEffectPropColourManagementAvailableConfigs",
    c"OfxImageEffectPropNoSpatialAwareness",
    c"OfxImageEffectPropCPURenderSupported",
    c"OfxImageEffectPropCudaRenderSupported",
    c"OfxImageEffectPropCudaStreamSupported",
    c"OfxImageEffectPropMetalRenderSupported",
    c"OfxImageEffectPropOpenCLRenderSupported",
    c"OfxParamPropChoiceOrder",
    c"OfxPropPluginDescription",
];

impl Host {
    /// Becomes a host of another kind. Only between loads.
    pub fn set_profile(&self, profile: Profile) {
        *self.profile.write().unwrap_or_else(PoisonError::into_inner) = profile;
    }

    /// The kind of host that this is.
    pub fn profile(&self) -> Profile {
        self.profile.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a property's name is newer than this host.
    pub fn too_new(&self, name: &CStr) -> bool {
        NEW.contains(&name) && self.profile.read().unwrap_or_else(PoisonError::into_inner).old
    }

    /// Says how many objects of each kind live: what stays after the last instance is the plugin's leak.
    pub fn check_nothing_left(&self, when: &str) {
        for (count, what) in [
            (self.images.lock().unwrap_or_else(PoisonError::into_inner).len(), "images not released"),
            (self.blocks.len(), "blocks of image memory not freed"),
            (self.locks.len(), "mutexes not destroyed"),
            (suites::allocations(), "blocks of the memory suite not freed"),
        ] {
            if count > 0 {
                log::fail(format!("{when}: {count} {what}"));
            }
        }
    }

    /// The `OfxHost` that a plugin is given. It lives as long as the process, as plugins keep its address.
    pub fn offer(&self) -> *mut OfxHost {
        let profile = self.profile();
        let depths = [kOfxBitDepthByte, kOfxBitDepthShort, kOfxBitDepthHalf, kOfxBitDepthFloat];
        let components = [kOfxImageComponentRGBA, kOfxImageComponentRGB, kOfxImageComponentAlpha];
        let contexts = [kOfxImageEffectContextGeneral, kOfxImageEffectContextFilter];
        let mut map = properties! {
            kOfxPropType => kOfxTypeImageEffectHost,
            kOfxPropName => c"org.headgan.conformance",
            kOfxPropLabel => c"OpenFX conformance host",
            kOfxPropVersion => 1,
            kOfxPropVersionLabel => c"1",
            kOfxImageEffectHostPropIsBackground => 0,
            kOfxImageEffectPropSupportsOverlays => 0,
            kOfxImageEffectPropSupportsMultiResolution => 1,
            kOfxImageEffectPropSupportsTiles => 1,
            kOfxImageEffectPropTemporalClipAccess => 1,
            kOfxImageEffectPropSupportedComponents => &components[..],
            kOfxImageEffectPropSupportedPixelDepths => &depths[..],
            kOfxImageEffectPropSupportedContexts => &contexts[..],
            kOfxImageEffectPropSupportsMultipleClipDepths => 0,
            kOfxImageEffectPropSupportsMultipleClipPARs => 0,
            kOfxImageEffectPropSetableFrameRate => 0,
            kOfxImageEffectPropSetableFielding => 0,
            kOfxImageEffectInstancePropSequentialRender => 1,
            kOfxParamHostPropSupportsCustomInteract => 0,
            kOfxParamHostPropSupportsStringAnimation => 1,
            kOfxParamHostPropSupportsChoiceAnimation => 1,
            kOfxParamHostPropSupportsBooleanAnimation => 1,
            kOfxParamHostPropSupportsCustomAnimation => 1,
            kOfxParamHostPropMaxParameters => -1,
            kOfxParamHostPropMaxPages => 0,
            kOfxParamHostPropPageRowColumnCount => props::Value::Ints(vec![0, 0]),
        };
        if !profile.old {
            map.insert(kOfxPropAPIVersion.to_owned(), props::Value::Ints(vec![1, 5]));
            map.insert(kOfxImageEffectPropRenderQualityDraft.to_owned(), 1.into());
            map.insert(kOfxImageEffectHostPropNativeOrigin.to_owned(), kOfxHostNativeOriginBottomLeft.into());
            map.insert(kOfxParamHostPropSupportsStrChoice.to_owned(), 1.into());
            map.insert(kOfxParamHostPropSupportsStrChoiceAnimation.to_owned(), 0.into());
        }
        let (handle, _) = self.props.insert(|_| PropSet::read_only("the host", map));
        Box::leak(Box::new(OfxHost { host: handle as OfxPropertySetHandle, fetchSuite: Some(fetch_suite) }))
    }
}

unsafe extern "C" fn fetch_suite(_: OfxPropertySetHandle, name: *const c_char, version: c_int) -> *const c_void {
    scope::enter_any();
    // SAFETY: the ABI asks for a C string.
    let Some(name) = (unsafe { scope::text(name, "fetchSuite") }) else { return ptr::null() };
    let withheld = &host().profile().withheld;
    if withheld.contains(&(name.clone(), version)) || withheld.contains(&(name.clone(), 0)) {
        return ptr::null();
    }
    fn at<T>(suite: &'static T) -> *const c_void {
        ptr::from_ref(suite).cast()
    }
    let name = name.as_c_str();
    match version {
        1 if name == kOfxPropertySuite => at(&props::SUITE),
        1 if name == kOfxParameterSuite => at(&*params::SUITE),
        1 if name == kOfxImageEffectSuite => at(&effect::SUITE),
        1 if name == kOfxMemorySuite => at(&suites::MEMORY),
        1 if name == kOfxMultiThreadSuite => at(&suites::MULTI_THREAD),
        1 if name == kOfxMessageSuite => at(&*suites::MESSAGE_1),
        2 if name == kOfxMessageSuite => at(&*suites::MESSAGE_2),
        1 if name == kOfxProgressSuite => at(&suites::PROGRESS_1),
        2 if name == kOfxProgressSuite => at(&suites::PROGRESS_2),
        1 if name == kOfxTimeLineSuite => at(&suites::TIME_LINE),
        _ => ptr::null(),
    }
}

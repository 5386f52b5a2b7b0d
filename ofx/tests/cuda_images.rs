//! Pictures in a CUDA device's memory, without a device: a driver of the test's own, whose device addresses nobody else can read.
//!
//! A program of its own: the driver's library is loaded once in a process. No host with a CUDA device has been tried.

#[path = "../../tests/common/world.rs"]
#[allow(dead_code)]
mod world;

mod mock;

use headgan::frame::Frame;
use mock::{DEVICE, Effect, LASTING, Layout, Plugin, Request, STREAM, stored};
use openfx::sys::generic::core::*;
use openfx::sys::image_effect_v1::image_effect::*;
use std::process::Command;
use std::sync::atomic::Ordering;
use world::{SIDE, blobs, moving};

/// Where the test's driver has its device memory.
const ON_DEVICE: usize = 1 << 62;

const DRIVER: &str = r#"
#include <stdint.h>
#include <string.h>
#define ON_DEVICE ((uint64_t)1 << 62)
int fetched, stored, synchronized, failing, strangers, entered;
static int check(uint64_t at, void *stream) {
    if ((uintptr_t)stream != 0x57) strangers++;
    if (entered != 1) return 201;
    return failing ? 719 : at & ON_DEVICE ? 0 : 1;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t n, void *stream) {
    int status = check(from, stream);
    if (!status) memcpy(to, (void *)(uintptr_t)(from - ON_DEVICE), n);
    fetched++;
    return status;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t n, void *stream) {
    int status = check(to, stream);
    if (!status) memcpy((void *)(uintptr_t)(to - ON_DEVICE), from, n);
    stored++;
    return status;
}
int cuStreamGetCtx(void *stream, void **context) { *context = stream; return 0; }
int cuPointerGetAttribute(void **data, unsigned attribute, uint64_t at) { return 1; }
int cuCtxPushCurrent_v2(void *context) { entered += (uintptr_t)context == 0x57; return 0; }
int cuCtxPopCurrent_v2(void **context) { entered--; return 0; }
int cuStreamSynchronize(void *stream) { synchronized++; return check(ON_DEVICE, stream); }
"#;

fn library() -> std::path::PathBuf {
    let name = format!("{}HeadGANReenact{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let exe = std::env::current_exe().unwrap();
    let found = exe.ancestors().skip(1).take(2).map(|d| d.join(&name)).find(|p| p.is_file());
    found.unwrap_or_else(|| panic!("{name} is not beside {}", exe.display()))
}

fn wire(plugin: &Plugin, layout: Layout) -> Box<Effect> {
    let mut effect = plugin.create(kOfxImageEffectContextGeneral);
    let frames: Vec<Frame> = moving(3).collect();
    let shown = move |time: f64| {
        let frame = frames.get(time.round() as usize)?;
        Some(Frame { data: stored(frame, layout.alpha), ..frame.clone() })
    };
    effect.feed("Source", layout, Some((0.0, 2.0)), Box::new(shown));
    let picture = blobs(&[[96.0, 96.0]]);
    let held = move |_: f64| Some(Frame { data: stored(&picture, layout.alpha), ..picture.clone() });
    effect.feed("Reference", layout, Some((0.0, 0.0)), Box::new(held));
    effect
}

#[cfg(target_os = "linux")]
#[test]
fn pictures_on_a_device_are_rendered_on_the_hosts_stream() {
    let folder = world::workshop().join("driver");
    std::fs::create_dir_all(&folder).unwrap();
    let (source, driver) = (folder.join("driver.c"), folder.join("libcuda.so.1"));
    std::fs::write(&source, DRIVER).unwrap();
    let build = ["-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o"];
    let Ok(built) = Command::new("cc").args(build).arg(&driver).arg(&source).status() else {
        eprintln!("skipped: there is no C compiler");
        return;
    };
    assert!(built.success());
    // Whoever asks for the driver by its name now gets this one.
    // SAFETY: functions without an initialiser.
    let driver = unsafe { libloading::Library::new(&driver) }.unwrap();
    let number = |name: &str| {
        // SAFETY: a global of the library, which stays loaded.
        unsafe { **driver.get::<*mut i32>(name).unwrap() }
    };
    let world = world::world();
    // SAFETY: the only test of this program.
    unsafe {
        std::env::set_var("HEADGAN_MODELS", &world.models);
        std::env::set_var("HEADGAN_CACHE", world::workshop().join("cache"));
        for home in ["HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"] {
            std::env::set_var(home, world::workshop().join("nobody"));
        }
    }
    let plugin = Plugin::open(&library());
    assert_eq!(plugin.call(kOfxActionLoad, None, None, None), kOfxStatOK);
    let offered = |name| plugin.describe(kOfxImageEffectContextGeneral).props.texts(name);
    let names = [c"OfxImageEffectPropCudaRenderSupported", c"OfxImageEffectPropCudaStreamSupported"];
    assert!(names.iter().all(|n| offered(n).is_empty()), "offered although nobody asked for it");
    // SAFETY: as above.
    unsafe { std::env::set_var("HEADGAN_CUDA_IMAGES", "1") };
    assert!(names.iter().all(|n| offered(n) == ["true"]));

    let padded = Layout { origin: (-7, 3), padding: 12, negative: true, depth: kOfxBitDepthHalf, ..Layout::FLOAT };
    for layout in [Layout::FLOAT, padded] {
        let effect = wire(&plugin, layout);
        let request = Request { layout, ..Request::at(1.0, (SIDE, SIDE)) };
        let (status, host) = plugin.render(&effect, request);
        assert_eq!(status, kOfxStatOK, "{:?}", LASTING.lock());
        let before = [number("fetched"), number("stored")];
        DEVICE.store(ON_DEVICE, Ordering::SeqCst);
        let (status, device) = plugin.render(&effect, request);
        assert_eq!(status, kOfxStatOK, "{:?}", LASTING.lock());
        device.check_canaries();
        assert!(device.samples() == host.samples() && host.samples().iter().any(|v| *v != 0.25));
        // Source, reference and output come, the output's rows go.
        let copies = [number("fetched") - before[0], number("stored") - before[1]];
        assert!(copies[0] >= 3 && copies[1] == SIDE as i32 && number("strangers") == 0, "{copies:?}");
        assert!(number("synchronized") > copies[0] && number("entered") == 0);

        // SAFETY: as in `number`.
        unsafe { **driver.get::<*mut i32>("failing").unwrap() = 1 };
        let (status, out) = plugin.render(&effect, request);
        let said = LASTING.lock().clone().unwrap_or_default();
        assert!(status == 1002 && said.contains("driver error 719") && said.contains("CUDA"), "{said}");
        assert!(out.samples().iter().all(|v| *v == 0.25));
        // SAFETY: as in `number`.
        unsafe { **driver.get::<*mut i32>("failing").unwrap() = 0 };
        DEVICE.store(0, Ordering::SeqCst);
    }
    const { assert!(STREAM == 0x57) };
}

//! Watches what a plugin reads while it renders: files opened, by whichever thread and library, and the environment.
//!
//! Files: a seccomp filter turns every `open`, `openat`, `openat2` and `creat` of the process into a signal, whose
//! handler notes the path and does the call. What it covers: every opening by path, in all threads; not covered: files
//! that were opened before, files in memory (`memfd_create`), sockets. Only on x86-64; elsewhere, and where the system
//! refuses the filter, `start` says so.
//!
//! Environment: the program's own `getenv` and `secure_getenv` stand before libc's. What they cover: every call that a
//! plugin makes through the dynamic linker, which is how Rust's and C++'s libraries read variables; not covered: a
//! plugin with a libc of its own, and code that walks through `environ` itself.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

static WATCHING: AtomicBool = AtomicBool::new(false);
static NAMES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Paths are noted by a signal handler, which may not allocate: fixed places, the first ones keep theirs.
const PLACES: usize = 32;
const LENGTH: usize = 256;
static OPENED: AtomicUsize = AtomicUsize::new(0);
static PATHS: [[std::sync::atomic::AtomicU8; LENGTH]; PLACES] =
    [const { [const { std::sync::atomic::AtomicU8::new(0) }; LENGTH] }; PLACES];

/// What a plugin read.
#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    /// How many files were opened.
    pub opened: usize,
    /// The first of them.
    pub paths: Vec<String>,
    /// The variables read.
    pub variables: Vec<String>,
}

/// Watches until `stop`.
pub fn watch() {
    OPENED.store(0, Ordering::SeqCst);
    NAMES.lock().unwrap_or_else(PoisonError::into_inner).clear();
    WATCHING.store(true, Ordering::SeqCst);
}

/// Ends watching and says what was seen.
pub fn stop() -> Seen {
    WATCHING.store(false, Ordering::SeqCst);
    let opened = OPENED.load(Ordering::SeqCst);
    let path = |place: &[std::sync::atomic::AtomicU8; LENGTH]| {
        let bytes: Vec<u8> = place.iter().map(|b| b.load(Ordering::SeqCst)).take_while(|b| *b != 0).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let paths = PATHS.iter().take(opened).map(path).collect();
    Seen { opened, paths, variables: std::mem::take(&mut NAMES.lock().unwrap_or_else(PoisonError::into_inner)) }
}

/// `getenv` for the program to export. Reads `environ` itself, as libc's own is hidden behind this one.
///
/// # Safety
/// `name` is null or a C string.
pub unsafe fn getenv(name: *const c_char) -> *mut c_char {
    unsafe extern "C" {
        static environ: *const *mut c_char;
    }
    if name.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the caller's; `environ` ends with a null, and its entries are C strings.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes();
        if WATCHING.load(Ordering::Relaxed) {
            NAMES.lock().unwrap_or_else(PoisonError::into_inner).push(String::from_utf8_lossy(name).into_owned());
        }
        let mut at = environ;
        while !at.is_null() && !(*at).is_null() {
            let entry = CStr::from_ptr(*at).to_bytes();
            if entry.len() > name.len() && entry.starts_with(name) && entry[name.len()] == b'=' {
                return (*at).add(name.len() + 1);
            }
            at = at.add(1);
        }
    }
    std::ptr::null_mut()
}

/// Installs the filter in this process, before plugins are loaded. It stays until the process ends.
///
/// # Errors
/// If files cannot be watched here, and why.
#[cfg(target_arch = "x86_64")]
pub fn start() -> Result<(), String> {
    filter::install().map_err(|e| format!("the system refuses the filter ({e})"))
}

/// Files are watched on x86-64 only.
///
/// # Errors
/// Always.
#[cfg(not(target_arch = "x86_64"))]
pub fn start() -> Result<(), String> {
    Err("the filter is written for x86-64".to_owned())
}

#[cfg(target_arch = "x86_64")]
mod filter {
    use super::{LENGTH, OPENED, PATHS, PLACES, WATCHING};
    use std::arch::asm;
    use std::sync::atomic::Ordering;
    use std::{io, ptr};

    /// The sixth argument of the handler's own calls, which the filter lets through. No opening has six arguments.
    const MAGIC: u64 = 0x4f46_5857_4154_4348;
    const CALLS: [libc::c_long; 4] = [libc::SYS_open, libc::SYS_openat, libc::SYS_openat2, libc::SYS_creat];

    pub fn install() -> io::Result<()> {
        use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_RET, BPF_W};
        const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
        let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
        let jump = |k: u32, jt: u8, jf: u8| libc::sock_filter { code: (BPF_JMP | BPF_JEQ | BPF_K) as u16, jt, jf, k };
        let load = |at: u32| statement(BPF_LD | BPF_W | BPF_ABS, at);
        // Offsets within `seccomp_data`: number 0, architecture 4, arguments from 16, eight bytes each.
        let mut program = [
            load(4),
            jump(AUDIT_ARCH_X86_64, 0, 10),
            load(0),
            jump(CALLS[0] as u32, 3, 0),
            jump(CALLS[1] as u32, 2, 0),
            jump(CALLS[2] as u32, 1, 0),
            jump(CALLS[3] as u32, 0, 5),
            load(16 + 5 * 8),
            jump(MAGIC as u32, 0, 2),
            load(16 + 5 * 8 + 4),
            jump((MAGIC >> 32) as u32, 1, 0),
            statement(BPF_RET | BPF_K, libc::SECCOMP_RET_TRAP),
            statement(BPF_RET | BPF_K, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
        // SAFETY: the structures are what the calls ask for; the kernel copies the program.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER | libc::SA_RESTART;
            if libc::sigaction(libc::SIGSYS, &action, ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
                return Err(io::Error::last_os_error());
            }
            let flags = libc::SECCOMP_FILTER_FLAG_TSYNC;
            match libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &program) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    unsafe extern "C" fn handler(_: libc::c_int, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel passes the interrupted thread's context; its registers hold the call that was stopped.
        unsafe {
            let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
            let at = |r: libc::c_int| registers[r as usize] as u64;
            let number = at(libc::REG_RAX);
            let arguments = [at(libc::REG_RDI), at(libc::REG_RSI), at(libc::REG_RDX), at(libc::REG_R10)];
            if WATCHING.load(Ordering::Relaxed) {
                let first = number == libc::SYS_open as u64 || number == libc::SYS_creat as u64;
                note(arguments[usize::from(!first)] as *const u8);
            }
            let result: i64;
            asm!(
                "syscall",
                inlateout("rax") number as i64 => result,
                in("rdi") arguments[0],
                in("rsi") arguments[1],
                in("rdx") arguments[2],
                in("r10") arguments[3],
                in("r8") 0_u64,
                in("r9") MAGIC,
                lateout("rcx") _,
                lateout("r11") _,
            );
            registers[libc::REG_RAX as usize] = result;
        }
    }

    unsafe fn note(path: *const u8) {
        let Some(place) = PATHS.get(OPENED.fetch_add(1, Ordering::SeqCst).min(PLACES)) else { return };
        for (i, out) in place.iter().enumerate() {
            // SAFETY: a C string that the plugin passes to the kernel; reading ends with it.
            let byte = if i + 1 < LENGTH { unsafe { path.add(i).read() } } else { 0 };
            out.store(byte, Ordering::SeqCst);
            if byte == 0 {
                break;
            }
        }
    }
}

/// The process's own figures, as Linux counts them.
pub mod process {
    use std::fs;

    /// Lets resident memory say what is held: glibc gives every new thread an arena of its own, and what large buffers leave
    /// behind in sixteen of them looks like a leak for minutes.
    pub fn plain_allocator() {
        #[cfg(target_env = "gnu")]
        // SAFETY: settings of the allocator, before any other thread is there.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
            libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
        }
    }

    /// Resident memory in bytes, after the allocator gave back what it keeps for later.
    pub fn resident() -> u64 {
        #[cfg(target_env = "gnu")]
        // SAFETY: asks the allocator to give back free pages.
        unsafe {
            libc::malloc_trim(0);
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
    }

    /// How many files are open.
    pub fn descriptors() -> usize {
        // The listing itself is one.
        fs::read_dir("/proc/self/fd").map_or(0, |d| d.count().saturating_sub(1))
    }

    /// How many threads run.
    pub fn threads() -> usize {
        fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
    }
}

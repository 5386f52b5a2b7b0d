//! espeak-ng, which reads text aloud and says when each phoneme begins.
//!
//! The program prints no times, its library does (`speak_lib.h`, events of words and phonemes): `libespeak-ng` is loaded when it is
//! needed and nothing of it is linked. It has one state for the whole process, so there is one [`Espeak`] at a time.

use headgan::{Error, Result};
use libloading::{Library, Symbol};
use std::ffi::{CString, c_char, c_int, c_short, c_uint, c_void};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names of the library on the systems that have one.
const NAMES: [&str; 4] = ["libespeak-ng.so.1", "libespeak-ng.1.dylib", "libespeak-ng.dylib", "libespeak-ng.dll"];
/// `AUDIO_OUTPUT_SYNCHRONOUS`: samples go to the callback before `espeak_Synth` returns.
const SYNCHRONOUS: c_int = 2;
/// `espeakINITIALIZE_PHONEME_EVENTS`, `espeakINITIALIZE_DONT_EXIT`.
const OPTIONS: c_int = 1 | 0x8000;
/// `POS_CHARACTER`, and `espeakCHARS_UTF8`.
const CHARACTERS: c_int = 1;
const UTF8: c_uint = 1;
/// `espeak_PARAMETER`.
const RATE: c_int = 1;
const PITCH: c_int = 3;
const RANGE: c_int = 4;
/// `espeak_EVENT_TYPE`.
const END_OF_LIST: c_int = 0;
const WORD: c_int = 1;
const PHONEME: c_int = 7;

/// `espeak_EVENT`.
#[repr(C)]
struct RawEvent {
    kind: c_int,
    _unique_identifier: c_uint,
    text_position: c_int,
    _length: c_int,
    audio_position: c_int,
    _sample: c_int,
    _user_data: *mut c_void,
    name: [u8; 8],
}

type Callback = unsafe extern "C" fn(*mut c_short, c_int, *mut RawEvent) -> c_int;

/// Something that begins at `seconds`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The word (or words that are spoken as one) whose first character is `first`, counted from 0.
    Word { first: usize },
    /// A phoneme by espeak-ng's own name.
    Phoneme { name: String, seconds: f64 },
}

/// What was spoken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SynthesizedSpeech {
    pub rate: u32,
    /// Full scale is 1.
    pub samples: Vec<f64>,
    /// In the order in which they are spoken.
    pub events: Vec<Event>,
}

/// How it is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoiceSettings<'a> {
    /// A voice, with or without a variant: `en-us+f3`.
    pub voice: &'a str,
    /// Words a minute.
    pub rate: u32,
    /// 0 to 99.
    pub pitch: u32,
    /// How far the pitch moves, 0 to 99.
    pub range: u32,
}

/// The library calls back without saying for whom.
static HEARD: Mutex<SynthesizedSpeech> =
    Mutex::new(SynthesizedSpeech { rate: 0, samples: Vec::new(), events: Vec::new() });
static IN_USE: Mutex<()> = Mutex::new(());

unsafe extern "C" fn heard(samples: *mut c_short, count: c_int, events: *mut RawEvent) -> c_int {
    let mut spoken = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    if !samples.is_null() && count > 0 {
        // SAFETY: the library hands over `count` samples.
        let samples = unsafe { std::slice::from_raw_parts(samples, count as usize) };
        spoken.samples.extend(samples.iter().map(|s| f64::from(*s) / 32768.0));
    }
    let mut at = events;
    // SAFETY: the list ends with an event of the type END_OF_LIST.
    while !at.is_null() && unsafe { (*at).kind } != END_OF_LIST {
        // SAFETY: as above.
        let event = unsafe { &*at };
        match event.kind {
            WORD => {
                let first = (event.text_position - 1).max(0) as usize;
                spoken.events.push(Event::Word { first });
            }
            PHONEME => {
                let name = event.name.iter().take_while(|b| **b != 0).map(|b| char::from(*b)).collect();
                spoken.events.push(Event::Phoneme { name, seconds: f64::from(event.audio_position) / 1000.0 });
            }
            _ => {}
        }
        // SAFETY: as above.
        at = unsafe { at.add(1) };
    }
    0
}

/// The loaded library.
pub struct Espeak {
    library: Library,
    rate: u32,
    _alone: MutexGuard<'static, ()>,
}

impl Espeak {
    /// Loads it.
    ///
    /// # Errors
    /// [`Error::Engine`] where it is not there; it says what to install.
    pub fn load() -> Result<Espeak> {
        let alone = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: espeak-ng runs no code when it is loaded.
        let found = NAMES.iter().find_map(|name| unsafe { Library::new(*name) }.ok());
        let library = found.ok_or_else(|| {
            Error::Engine(
                "espeak-ng: its library is not there: install it (apt install espeak-ng, brew install espeak-ng)"
                    .into(),
            )
        })?;
        let mut out = Espeak { library, rate: 0, _alone: alone };
        // SAFETY: the types are those of speak_lib.h.
        let rate = unsafe {
            let initialize: Symbol<unsafe extern "C" fn(c_int, c_int, *const c_char, c_int) -> c_int> =
                out.symbol(b"espeak_Initialize\0")?;
            let set_callback: Symbol<unsafe extern "C" fn(Callback)> = out.symbol(b"espeak_SetSynthCallback\0")?;
            let rate = initialize(SYNCHRONOUS, 0, std::ptr::null(), OPTIONS);
            set_callback(heard);
            rate
        };
        out.rate = u32::try_from(rate).map_err(|_| {
            Error::Engine("espeak-ng: finds no voices: install its data (apt install espeak-ng-data)".into())
        })?;
        Ok(out)
    }

    /// # Safety
    /// `T` must be the function's type.
    unsafe fn symbol<T>(&self, name: &[u8]) -> Result<Symbol<'_, T>> {
        // SAFETY: the caller's.
        unsafe { self.library.get(name) }.map_err(|e| {
            Error::engine(format!("espeak-ng: is not a version that is known ({e}): install 1.50 or later"))
        })
    }

    /// Reads a text aloud.
    ///
    /// # Errors
    /// [`Error::Usage`] for a voice that there is not; [`Error::Engine`] where it fails.
    pub fn speak(&self, text: &str, voice_settings: VoiceSettings) -> Result<SynthesizedSpeech> {
        let bad = |what: &str| Error::usage(format!("espeak-ng: '{what}' has a zero in it"));
        let (voice, words) = (CString::new(voice_settings.voice), CString::new(text));
        let (voice, words) = (voice.map_err(|_| bad(voice_settings.voice))?, words.map_err(|_| bad(text))?);
        *HEARD.lock().unwrap_or_else(PoisonError::into_inner) =
            SynthesizedSpeech { rate: self.rate, ..SynthesizedSpeech::default() };
        // SAFETY: the types are those of speak_lib.h; the text outlives the call, which is synchronous.
        let said = unsafe {
            let set_voice: Symbol<unsafe extern "C" fn(*const c_char) -> c_int> =
                self.symbol(b"espeak_SetVoiceByName\0")?;
            let set: Symbol<unsafe extern "C" fn(c_int, c_int, c_int) -> c_int> =
                self.symbol(b"espeak_SetParameter\0")?;
            type Synth = unsafe extern "C" fn(
                *const c_void,
                usize,
                c_uint,
                c_int,
                c_uint,
                c_uint,
                *mut c_uint,
                *mut c_void,
            ) -> c_int;
            let synth: Symbol<Synth> = self.symbol(b"espeak_Synth\0")?;
            if set_voice(voice.as_ptr()) != 0 {
                return Err(Error::usage(format!(
                    "espeak-ng: there is no voice '{}': espeak-ng --voices lists them",
                    voice_settings.voice
                )));
            }
            for (what, value) in
                [(RATE, voice_settings.rate), (PITCH, voice_settings.pitch), (RANGE, voice_settings.range)]
            {
                set(what, value as c_int, 0);
            }
            let (bytes, null) = (words.as_bytes_with_nul(), std::ptr::null_mut());
            synth(bytes.as_ptr().cast(), bytes.len(), 0, CHARACTERS, 0, UTF8, std::ptr::null_mut(), null)
        };
        let spoken = std::mem::take(&mut *HEARD.lock().unwrap_or_else(PoisonError::into_inner));
        if said != 0 || spoken.samples.is_empty() {
            return Err(Error::engine(format!("espeak-ng: said nothing of '{text}' (status {said})")));
        }
        Ok(spoken)
    }
}

impl Drop for Espeak {
    fn drop(&mut self) {
        // SAFETY: the type is that of speak_lib.h; nothing of the library is used after this.
        unsafe {
            if let Ok(terminate) = self.symbol::<unsafe extern "C" fn() -> c_int>(b"espeak_Terminate\0") {
                terminate();
            }
        }
    }
}

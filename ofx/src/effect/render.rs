//! The action render.

use super::own::Own;
use super::performance::{self, Moment};
use super::reference::{self, Picture, Reference, pixel, store};
use super::values::Controls;
use super::{LABEL, OUTPUT, SOURCE, colour, shared, sound};
use crate::host::image::Rect;
use crate::host::message::Gravity;
use crate::host::{Effect, Properties};
use headgan::controls::choices::{Quality, View};
use headgan::frame::{Filter, Frame};
use headgan::reenact::context::ShotSpec;
use headgan::reenact::frame_settings::FrameSettings;
use headgan::shot::analyse::pixels;
use headgan::{Error, Result};
use openfx::sys::generic::core::kOfxPropTime;
use openfx::sys::image_effect_v1::image_effect::{
    kOfxImageEffectPropInteractiveRenderStatus, kOfxImageEffectPropRenderScale, kOfxImageEffectPropRenderWindow,
};
use std::borrow::Cow;
use std::cell::RefCell;

/// Where and when to render.
struct Request {
    time: f64,
    scale: [f64; 2],
    window: Rect,
    interactive: bool,
}

impl Request {
    fn of(args: Properties) -> Result<Request> {
        let missing =
            |what: &str| Error::Engine(format!("the host asks for a frame without {what}: report this to its makers"));
        let time = args.double(kOfxPropTime, 0).ok_or_else(|| missing("its time"))?;
        let [x1, y1, x2, y2] = args.ints(kOfxImageEffectPropRenderWindow).ok_or_else(|| missing("its window"))?;
        Ok(Request {
            time,
            scale: scale(args),
            window: Rect { x1, y1, x2, y2 },
            interactive: args.int(kOfxImageEffectPropInteractiveRenderStatus, 0) == Some(1),
        })
    }

    /// Whether the host wants a smaller picture than the full one.
    fn is_proxy(&self) -> bool {
        self.scale != [1.0; 2]
    }
}

/// The render scale that an action came with; 1 where it has none.
pub fn scale(args: Properties) -> [f64; 2] {
    args.doubles(kOfxImageEffectPropRenderScale).filter(|s| s.iter().all(|s| *s > 0.0)).unwrap_or([1.0; 2])
}

/// The controls at a time, with what the instance adds to them.
pub fn look(controls: &Controls, own: &Own, time: f64, interactive: bool, same: bool) -> Result<FrameSettings> {
    let mut look = FrameSettings::from_controls(&controls.at(time)?.resolve(time), same);
    if own.draft_while_editing && interactive {
        look.quality = Quality::Draft;
    }
    Ok(look)
}

/// Renders a frame.
///
/// # Errors
/// Everything that keeps a frame from being rendered as asked.
pub fn render(effect: &Effect, args: Properties) -> Result<()> {
    let request = Request::of(args)?;
    let effect = &effect.with_pictures_of(args);
    let own = Own::of(effect)?;
    let controls = Controls::of(&effect.params()?);
    let settings = controls.at(request.time)?.resolve(request.time);
    effect.check_abort()?;
    let clip = effect.clip(SOURCE);
    let source = clip.map(|clip| clip.image(request.time)).transpose()?.flatten();
    let color = clip.map_or(own.color, |clip| colour::of_clip(&clip, &own));
    let none = || Error::Input(format!("Source has no picture at frame {}: connect who performs to it", request.time));
    let driver = Picture::of(&source.ok_or_else(none)?, color);
    if !own.enabled {
        return deliver(effect, &request, &driver, &driver.frame, driver.rect);
    }
    let from = reference::find(effect, &own)?;
    let plate = reference::plate(effect, &from, &own, settings.reference_frame, request.time, &driver.rect)?;
    effect.check_abort()?;

    let stage = shared::stage(effect.host.processors())?;
    // A usual folder that cannot be used is done without; what is missing then is said by whoever misses it.
    let cache = shared::cache(&own.cache_folder);
    let cache = if own.cache_folder.is_empty() { cache.ok() } else { Some(cache?) };
    let proxy = request.is_proxy();
    let is_final = effect.host.is_background() && !request.interactive;
    let moment = Moment { time: request.time, driver: &driver, proxy, is_final };
    let performance = performance::find(effect, &stage, &own, &settings, &moment, cache.as_deref())?;
    effect.check_abort()?;

    let now = look(&controls, &own, request.time, request.interactive, false)?;
    let same = is_same(effect, &from, &own, settings.reference_frame, &request, &plate, &performance.pixels)?;
    let asked = sound::question(effect, &stage, &own, &settings, now.quality)?;
    let hear = |asked| sound::find(effect, &stage, asked, &performance, request.time, cache.as_ref());
    let hearing = asked.as_ref().map(hear).transpose()?;
    let cast = ShotSpec {
        reference: &plate.frame,
        name: "Reference",
        motion: &performance.motion,
        motion_key: performance.key,
        track: performance.track,
        hearing: hearing.as_ref(),
        quality: now.quality,
        device: settings.device,
    };
    let shot = stage.shot(&cast, cache.as_deref())?;
    effect.check_abort()?;

    // A control that the host refuses to tell ends the rendering, not the process.
    let failure = RefCell::new(None);
    let look_at = |i: usize| {
        let time = request.time + i as f64 - performance.index as f64;
        look(&controls, &own, time, request.interactive, same).unwrap_or_else(|e| {
            failure.borrow_mut().get_or_insert(e);
            now.clone()
        })
    };
    stage.render(&shot, performance.index, &look_at, &|| effect.check_abort(), |picture| {
        if let Some(e) = failure.borrow_mut().take() {
            return Err(e);
        }
        effect.check_abort()?;
        let (picture, rect) = placed(picture, now.view, &plate, &driver, request.scale);
        deliver(effect, &request, &plate, &picture, rect)
    })?;
    if performance.analysed {
        if shared::forget_message(effect.id()) {
            effect.clear_message();
        }
    } else {
        let text = format!("{LABEL}: not analysed: press Analyse shot for the final look");
        if shared::note_message(effect.id(), &text) {
            effect.lasting_message(Gravity::Warning, &text);
        }
    }
    Ok(())
}

/// Whether the reference is a frame of the driving clip: then the clip performs itself and is not adapted.
fn is_same(
    effect: &Effect,
    from: &Reference,
    own: &Own,
    frame: usize,
    request: &Request,
    plate: &Picture,
    shot: &[headgan::key::Key],
) -> Result<bool> {
    let Reference::Clip(clip) = from else { return Ok(false) };
    let key = pixels(&plate.frame);
    let known = shot.contains(&key);
    if known || !request.is_proxy() {
        return Ok(known);
    }
    // A proxy's pixels are not those that were analysed: compared with Source's own proxy.
    let time = reference::clip_time(clip, own, frame, request.time);
    let Some(source) = effect.clip(SOURCE).filter(|_| reference::may_be_source(effect, clip, time)) else {
        return Ok(false);
    };
    let color = colour::of_clip(&source, own);
    Ok(source.image(time)?.is_some_and(|image| pixels(&Picture::of(&image, color).frame) == key))
}

/// What is delivered and where: the plate's place, or, for the crop alone, a square at Source's lower left corner.
fn placed<'a>(
    picture: &'a Frame,
    view: View,
    plate: &Picture,
    driver: &Picture,
    scale: [f64; 2],
) -> (Cow<'a, Frame>, Rect) {
    if view != View::Crop {
        return (Cow::Borrowed(picture), plate.rect);
    }
    let size = |n: usize, k: f64| ((n as f64 * k).round() as usize).max(1);
    let (w, h) = (size(picture.width, scale[0]), size(picture.height, scale[1]));
    let (x1, y1) = (driver.rect.x1, driver.rect.y1);
    let rect = Rect { x1, y1, x2: x1 + w as i32, y2: y1 + h as i32 };
    if (w, h) == (picture.width, picture.height) {
        return (Cow::Borrowed(picture), rect);
    }
    (Cow::Owned(picture.resize(w, h, Filter::Area)), rect)
}

/// Writes the request's window of the output: `picture` lies at `rect`, transparent black around it. What equals the
/// plate is stored as the plate is.
fn deliver(effect: &Effect, request: &Request, plate: &Picture, picture: &Frame, rect: Rect) -> Result<()> {
    let output = effect.clip(OUTPUT).map(|clip| clip.image(request.time)).transpose()?.flatten();
    let none = || Error::Engine("the host offers no picture to render into: report this to its makers".into());
    let mut output = output.ok_or_else(none)?;
    let alpha = output.alpha;
    let on_plate = rect == plate.rect;
    output.write(&request.window, |x, y| match rect.index(x, y) {
        None => [0.0; 4],
        Some(i) => {
            let new = pixel(&picture.data, i);
            let untouched = on_plate && new.map(f32::to_bits) == pixel(&plate.frame.data, i).map(f32::to_bits);
            if untouched { plate.stored(i, alpha) } else { store(new, alpha) }
        }
    })
}

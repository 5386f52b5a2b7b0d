//! The action render: a frame from its arguments to the output's pixels. The other files find its inputs, the library computes it.

use super::clip_image::{ClipImage, ConvertedImage, pixel, to_stored};
use super::driving::{self, SourceFrame};
use super::params::PluginParams;
use super::reference::{self, Reference};
use super::values::{ResolvedControls, frame_settings};
use super::{LABEL, OUTPUT, SOURCE, colour, shared, sound};
use crate::host::image::Rect;
use crate::host::message::MessageType;
use crate::host::{Effect, Properties};
use headgan::controls::choices::View;
use headgan::frame::{Filter, Frame};
use headgan::reenact::{Driver, MatteSettings, ReferenceFit, ReferenceUse, ShotSpec};
use headgan::shot::analyse::pixels;
use headgan::{Error, Result};
use openfx::sys::generic::core::kOfxPropTime;
use openfx::sys::image_effect_v1::image_effect::{
    kOfxImageEffectPropInteractiveRenderStatus, kOfxImageEffectPropRenderScale, kOfxImageEffectPropRenderWindow,
};
use std::borrow::Cow;
use std::cell::RefCell;

/// The arguments of the action.
struct RenderArgs {
    time: f64,
    scale: [f64; 2],
    window: Rect,
    interactive: bool,
}

impl RenderArgs {
    fn read(args: Properties) -> Result<RenderArgs> {
        let missing =
            |what: &str| Error::engine(format!("the host asks for a frame without {what}: report this to its makers"));
        let time = args.double(kOfxPropTime, 0).ok_or_else(|| missing("its time"))?;
        let [x1, y1, x2, y2] = args.ints(kOfxImageEffectPropRenderWindow).ok_or_else(|| missing("its window"))?;
        Ok(RenderArgs {
            time,
            scale: render_scale(args),
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
pub fn render_scale(args: Properties) -> [f64; 2] {
    args.doubles(kOfxImageEffectPropRenderScale).filter(|s| s.iter().all(|s| *s > 0.0)).unwrap_or([1.0; 2])
}

/// Renders a frame.
///
/// # Errors
/// Everything that keeps a frame from being rendered as asked.
pub fn render(effect: &Effect, in_args: Properties) -> Result<()> {
    let args = RenderArgs::read(in_args)?;
    let effect = &effect.with_cuda_stream(in_args);
    let params = PluginParams::read(effect)?;
    let controls = ResolvedControls::new(&effect.params()?, args.time)?;
    let settings = controls.settings();
    effect.check_abort()?;
    let clip = effect.clip(SOURCE);
    let image = clip.map(|clip| clip.image(args.time)).transpose()?.flatten();
    let color = clip.map_or(params.color, |clip| colour::clip_color(&clip, &params));
    let none = || Error::input(format!("Source has no picture at frame {}: connect who performs to it", args.time));
    let source = ClipImage::new(image.ok_or_else(none)?, color);
    if !params.enabled {
        let picture = source.convert();
        return write_output(effect, &args, &picture, &picture.frame, picture.rect);
    }
    let source_rect = source.rect();
    let from = reference::find(effect, &params)?;
    let plate = reference::plate(effect, &from, &params, settings.reference_frame, args.time, &source_rect)?;
    effect.check_abort()?;

    let context = shared::context(effect.host.processors())?;
    // A standard folder that cannot be used is ignored; code that needs the cache reports that it is missing.
    let cache = shared::cache(&params.cache_folder);
    let cache = if params.cache_folder.is_empty() { cache.ok() } else { Some(cache?) };
    let proxy = args.is_proxy();
    let is_final = effect.host.is_background() && !args.interactive;
    let frame = SourceFrame { time: args.time, image: &source, proxy, is_final };
    let driving = driving::find(effect, &context, &params, settings, &frame, &plate, cache.as_deref())?;
    // The host gets Source's image back.
    drop(source);
    effect.check_abort()?;

    let now = frame_settings(settings, &params, args.interactive, false);
    let same = driving.recording().is_none()
        && is_self_reenactment(effect, &from, &params, settings.reference_frame, &args, &plate, driving.pixels())?;
    let audio_request = sound::request(effect, &context, &params, settings, now.quality)?;
    let find_audio = |request| sound::find(effect, &context, request, &driving, args.time, cache.as_ref());
    let (audio, lips) = audio_request.as_ref().map(find_audio).transpose()?.unwrap_or_default();
    let cast = ShotSpec {
        reference: &plate.frame,
        fit: driving.recording().map_or(ReferenceFit::Detect("Reference"), |r| ReferenceFit::Given(&r.fit)),
        driver: Driver::Motion { motion: driving.motion(), key: driving.key, track: driving.track },
        audio,
        lips,
        quality: now.quality,
        uses: ReferenceUse { matte: MatteSettings::from_controls(settings), ..ReferenceUse::default() },
        device: settings.device,
    };
    let shot = context.shot(cast, cache.as_deref())?;
    effect.check_abort()?;

    // A control that the host refuses to tell ends the rendering, not the process.
    let failure = RefCell::new(None);
    let whole = shot.input_frames(driving.index);
    let settings_at = |i: usize| {
        let time = args.time + i as f64 - driving.index as f64;
        let settings = if whole.contains(&i) { controls.at(time) } else { controls.camera_at(time) };
        match settings {
            Ok(settings) => frame_settings(&settings, &params, args.interactive, same),
            Err(e) => {
                failure.borrow_mut().get_or_insert(e);
                now.clone()
            }
        }
    };
    context.render(&shot, driving.index, &settings_at, &effect.cancel_token(), |picture| {
        if let Some(e) = failure.borrow_mut().take() {
            return Err(e);
        }
        effect.check_abort()?;
        let (picture, rect) = placed(picture, now.view, &plate, &source_rect, args.scale);
        write_output(effect, &args, &plate, &picture, rect)
    })?;
    if driving.analysed {
        if shared::forget_message(effect.id()) {
            effect.clear_persistent_message();
        }
    } else {
        let text = format!("{LABEL}: not analysed: press Analyse shot for the final look");
        if shared::note_message(effect.id(), &text) {
            effect.persistent_message(MessageType::Warning, &text);
        }
    }
    Ok(())
}

/// Whether the reference is a frame of the driving clip: then the clip performs itself and is not adapted.
fn is_self_reenactment(
    effect: &Effect,
    from: &Reference,
    params: &PluginParams,
    frame: usize,
    args: &RenderArgs,
    plate: &ConvertedImage,
    shot: &[headgan::key::Key],
) -> Result<bool> {
    let Reference::Clip(clip) = from else { return Ok(false) };
    let key = pixels(&plate.frame);
    let known = shot.contains(&key);
    if known || !args.is_proxy() {
        return Ok(known);
    }
    // A proxy's pixels are not those that were analysed: compared with Source's own proxy.
    let time = reference::clip_time(clip, params, frame, args.time);
    let Some(source) = effect.clip(SOURCE).filter(|_| reference::may_be_source(effect, clip, time)) else {
        return Ok(false);
    };
    let color = colour::clip_color(&source, params);
    Ok(source.image(time)?.is_some_and(|image| ClipImage::new(image, color).key() == key))
}

/// What is delivered and where: the plate's place, or, for the crop alone, a square at Source's lower left corner.
fn placed<'a>(
    picture: &'a Frame,
    view: View,
    plate: &ConvertedImage,
    source: &Rect,
    scale: [f64; 2],
) -> (Cow<'a, Frame>, Rect) {
    if view != View::Crop {
        return (Cow::Borrowed(picture), plate.rect);
    }
    let size = |n: usize, k: f64| ((n as f64 * k).round() as usize).max(1);
    let (w, h) = (size(picture.width, scale[0]), size(picture.height, scale[1]));
    let (x1, y1) = (source.x1, source.y1);
    let rect = Rect { x1, y1, x2: x1 + w as i32, y2: y1 + h as i32 };
    if (w, h) == (picture.width, picture.height) {
        return (Cow::Borrowed(picture), rect);
    }
    (Cow::Owned(picture.resize(w, h, Filter::Area)), rect)
}

/// Writes the request's window of the output: `picture` lies at `rect`, transparent black around it. What equals the
/// plate is stored as the plate is.
fn write_output(effect: &Effect, args: &RenderArgs, plate: &ConvertedImage, picture: &Frame, rect: Rect) -> Result<()> {
    let output = effect.clip(OUTPUT).map(|clip| clip.image(args.time)).transpose()?.flatten();
    let none = || Error::Engine("the host offers no picture to render into: report this to its makers".into());
    let mut output = output.ok_or_else(none)?;
    let alpha = output.alpha;
    let on_plate = rect == plate.rect;
    output.write(&args.window, |x, y| match rect.index(x, y) {
        None => [0.0; 4],
        Some(i) => {
            let new = pixel(&picture.data, i);
            let untouched = on_plate && new.map(f32::to_bits) == pixel(&plate.frame.data, i).map(f32::to_bits);
            if untouched { plate.stored(i, alpha) } else { to_stored(new, alpha) }
        }
    })
}

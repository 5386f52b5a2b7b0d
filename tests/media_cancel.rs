//! Readers and writers whose work is cancelled, and the process group that keeps Ctrl-C from their programs.

use headgan::frame::{Color, Frame};
use headgan::media::{Rational, Sink, SinkSpec, Source};
use headgan::{CancelToken, Error};

#[test]
fn a_cancelled_token_stops_everything_and_leaves_no_half_file() {
    let cancel = CancelToken::new();
    let dir = tempfile::tempdir().unwrap();
    let path = |n: &str| dir.path().join(n).to_str().unwrap().to_string();
    let spec = SinkSpec::new(32, 32, Rational::whole(25));
    let frame = Frame::filled(32, 32, [0.5; 4], Color::Srgb);
    let mut images = Sink::create(&path("f_%02d.png"), spec.clone()).unwrap().cancelled_by(&cancel);
    images.write(&frame).unwrap();
    images.write(&frame).unwrap();
    let mut frames = Source::open(&path("f_%02d.png")).unwrap().cancelled_by(&cancel).frames(None).unwrap();
    assert!(frames.next().unwrap().is_ok());
    let mut video = match Sink::create(&path("a.mp4"), spec) {
        Ok(v) => Some(v.cancelled_by(&cancel)),
        Err(e) => {
            println!("the video part is skipped: {e}");
            None
        }
    };
    if let Some(v) = &mut video {
        v.write(&frame).unwrap();
    }

    cancel.cancel();
    assert!(matches!(images.write(&frame), Err(Error::Interrupted)));
    if let Some(mut v) = video {
        assert!(matches!(v.write(&frame), Err(Error::Interrupted)));
        assert!(matches!(v.finish(), Err(Error::Interrupted)));
    }
    // at most what was decoded ahead still comes
    let last = frames.last();
    assert!(last.is_none_or(|r| r.is_ok() || matches!(r, Err(Error::Interrupted))));

    let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["f_00.png", "f_01.png"]);
}

#[cfg(unix)]
#[test]
fn programs_run_in_a_group_of_their_own() {
    use std::process::Command;
    let Ok(tools) = headgan::media::ffmpeg::Tools::find() else {
        println!("skipped: there is no ffmpeg");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    let spec = SinkSpec::new(16, 16, Rational::whole(25));
    let sink = Sink::create_with(&path, spec, Some(tools)).unwrap();
    let me = std::process::id().to_string();
    let list = Command::new("ps").args(["-o", "ppid=,pid=,pgid=,comm=", "-A"]).output();
    let Ok(list) = list else {
        println!("skipped: there is no ps");
        return;
    };
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    let child = text
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>())
        .find(|w| w.len() == 4 && w[0] == me && w[3] == "ffmpeg");
    let child = child.unwrap_or_else(|| panic!("no ffmpeg of ours in {text}"));
    assert_eq!(child[1], child[2], "pid and process group");
    drop(sink);
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn work_on_a_sound_ends() {
    use headgan::audio::{Alignment, Sound, headgan84};
    let cancel = CancelToken::new();
    let samples = headgan::synthetic::demo_sound(50, 25.0).into_iter().map(f64::from).collect();
    let sound = Sound::new(48_000, samples).unwrap().cancelled_by(&cancel);
    let features = || headgan84(&sound, Rational::whole(25), None, Alignment::Time);
    assert!(features().is_ok());
    cancel.cancel();
    assert!(matches!(features(), Err(Error::Interrupted)));
}

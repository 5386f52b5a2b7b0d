//! Stills in and out: exact round trips, orientation, limits, damaged files.

use headgan::Error;
use headgan::frame::{Color, Frame};
use headgan::media::still::{self, Format};
use headgan::media::{Depth, Limits, Source, StillOptions};
use image::{DynamicImage, ImageEncoder, metadata::Orientation};
use std::path::Path;

/// Codes of every kind, with alpha from 0 to full.
fn codes(width: usize, height: usize, color: Color) -> Frame {
    let words: Vec<u16> =
        (0..4 * width * height).map(|i| (i as u32).wrapping_mul(2_654_435_761).rotate_left(11) as u16).collect();
    let mut f = Frame::from_rgba16(width, height, &words, color);
    f.set_pixel(0, 0, [1.0, 0.5, 0.0, 0.0]);
    f.set_pixel(1, 0, [0.25, 0.5, 0.75, 1.0]);
    f
}

fn options(depth: Depth, alpha: bool) -> StillOptions {
    StillOptions { depth: Some(depth), alpha, ..Default::default() }
}

#[test]
fn integer_formats_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let f = codes(37, 11, Color::Srgb);
    for name in ["a.png", "a.tiff"] {
        let path = dir.path().join(name);
        still::write(&path, &f, &options(Depth::U16, true)).unwrap();
        let back = still::read(&path).unwrap();
        assert_eq!((back.depth, back.frame.to_rgba16()), (Depth::U16, f.to_rgba16()), "{name}");
        still::write(&path, &f, &options(Depth::U8, true)).unwrap();
        let back = still::read(&path).unwrap();
        assert_eq!((back.depth, back.frame.to_rgba8(), back.frame.color), (Depth::U8, f.to_rgba8(), Color::Srgb));
        for depth in [Depth::U8, Depth::U16] {
            still::write(&path, &f, &options(depth, false)).unwrap();
            let info = still::probe(&path, &Limits::default()).unwrap();
            assert_eq!((info.width, info.height, info.alpha, info.depth), (37, 11, false, depth));
            let back = still::read(&path).unwrap().frame;
            assert!(back.is_opaque() && back.to_samples::<u8, 3>() == f.to_samples::<u8, 3>());
        }
    }
}

#[test]
fn float_formats_keep_values_above_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut f = codes(19, 23, Color::Linear);
    f.set_pixel(2, 0, [37.5, -0.25, 1e-3, 1.0]);
    f.set_pixel(3, 0, [4.0, 2.0, 1.0, 0.5]);
    f.set_pixel(4, 0, [7.0, 7.0, 7.0, 0.0]);
    for (name, depth, close) in [("a.exr", Depth::F32, 1e-6), ("b.exr", Depth::F16, 1e-3), ("a.tif", Depth::F32, 0.0)] {
        let path = dir.path().join(name);
        still::write(&path, &f, &options(depth, true)).unwrap();
        let back = still::read(&path).unwrap();
        assert_eq!((back.depth, back.frame.color), (depth, Color::Linear));
        for (i, (a, b)) in back.frame.data.iter().zip(&f.data).enumerate() {
            let alpha = f.data[i / 4 * 4 + 3];
            // colours under a faint alpha are stored multiplied, and a half has 11 bits of both
            let slack = if close > 1e-4 && alpha < 0.01 { 0.1 } else { close };
            assert!((a - b).abs() <= slack * b.abs().max(1e-3), "{name} {i}: {a} {b}");
        }
        assert_eq!(back.frame.pixel(4, 0), [7.0, 7.0, 7.0, 0.0], "a light without coverage stays");
        let again = dir.path().join(format!("again_{name}"));
        still::write(&again, &back.frame, &options(depth, true)).unwrap();
        if depth == Depth::F16 {
            assert_eq!(std::fs::read(&again).unwrap(), std::fs::read(&path).unwrap(), "a second pass changes nothing");
        }
        still::write(&path, &f, &options(depth, false)).unwrap();
        assert!(still::read(&path).unwrap().frame.is_opaque());
    }
    // a highlight beyond half's range stays finite
    let path = dir.path().join("c.exr");
    still::write(&path, &Frame::filled(1, 1, [1e9, 0.0, 0.0, 1.0], Color::Linear), &Default::default()).unwrap();
    assert_eq!(still::read(&path).unwrap().frame.pixel(0, 0)[0], 65504.0);
}

#[test]
fn colours_follow_the_format() {
    let dir = tempfile::tempdir().unwrap();
    let grey = Frame::filled(4, 4, [0.5, 0.5, 0.5, 1.0], Color::Srgb);
    let path = dir.path().join("a.exr");
    still::write(&path, &grey, &Default::default()).unwrap();
    let linear = still::read(&path).unwrap().frame;
    assert!((linear.pixel(1, 1)[0] - 0.21404).abs() < 2e-4);
    let path = dir.path().join("a.png");
    still::write(&path, &linear, &Default::default()).unwrap();
    assert!((still::read(&path).unwrap().frame.pixel(0, 0)[0] - 0.5).abs() < 0.003);
    // leftovers under alpha 0 of a picture with display codes do not glow
    let hidden = Frame::filled(2, 2, [1.0, 1.0, 1.0, 0.0], Color::Srgb);
    let path = dir.path().join("b.exr");
    still::write(&path, &hidden, &Default::default()).unwrap();
    assert_eq!(still::read(&path).unwrap().frame.pixel(0, 0), [0.0; 4]);
}

/// A JPEG with an EXIF block that holds nothing but the orientation.
fn jpeg_with_orientation(pixels: &image::RgbImage, orientation: u8) -> Vec<u8> {
    let mut plain = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut plain, 100)
        .write_image(pixels, pixels.width(), pixels.height(), image::ExtendedColorType::Rgb8)
        .unwrap();
    let mut exif = b"Exif\0\0II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend_from_slice(&[orientation, 0, 0, 0, 0, 0, 0, 0]);
    let mut out = plain[..2].to_vec();
    out.extend_from_slice(&[0xff, 0xe1]);
    out.extend_from_slice(&((exif.len() + 2) as u16).to_be_bytes());
    out.extend_from_slice(&exif);
    out.extend_from_slice(&plain[2..]);
    out
}

#[test]
fn jpeg_orientation_is_applied() {
    let dir = tempfile::tempdir().unwrap();
    let mut pixels = image::RgbImage::new(48, 32);
    for (x, y, p) in pixels.enumerate_pixels_mut() {
        *p = image::Rgb([(x * 5) as u8, (y * 7) as u8, 128]);
    }
    for orientation in 1..=8u8 {
        let path = dir.path().join(format!("{orientation}.jpg"));
        std::fs::write(&path, jpeg_with_orientation(&pixels, orientation)).unwrap();
        let mut want = DynamicImage::ImageRgb8(pixels.clone());
        want.apply_orientation(Orientation::from_exif(orientation).unwrap());
        let back = still::read(&path).unwrap();
        let info = still::probe(&path, &Limits::default()).unwrap();
        assert_eq!((back.frame.width, back.frame.height), (want.width() as usize, want.height() as usize));
        assert_eq!((info.width, info.height, info.format), (back.frame.width, back.frame.height, Format::Jpeg));
        let got = back.frame.to_rgb8();
        let worst = got.iter().zip(want.to_rgb8().as_raw()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= 6, "orientation {orientation}: {worst}");
    }
}

#[test]
fn jpeg_and_the_smallest_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let one = Frame::filled(1, 1, [0.2, 0.4, 0.6, 1.0], Color::Srgb);
    for name in ["a.png", "a.jpg", "a.tif", "a.exr"] {
        let path = dir.path().join(name);
        still::write(&path, &one, &StillOptions { alpha: true, ..Default::default() }).unwrap();
        let source = Source::open(path.to_str().unwrap()).unwrap();
        assert_eq!((source.info().width, source.info().height, source.info().frames), (1, 1, Some(1)));
        let mut back = source.frame(0).unwrap();
        back.convert_color(Color::Srgb);
        for (a, b) in back.pixel(0, 0).iter().zip(one.pixel(0, 0)) {
            assert!((a - b).abs() < 0.015, "{name} {a} {b}");
        }
    }
}

#[test]
fn foreign_tiffs() {
    use tiff::encoder::{TiffEncoder, colortype};
    use tiff::tags::ExtraSamples;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let create = || std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    TiffEncoder::new(create()).unwrap().write_image::<colortype::Gray32Float>(2, 1, &[0.5, 3.0]).unwrap();
    let back = still::read(&path).unwrap();
    assert_eq!((back.frame.pixel(1, 0), back.depth), ([3.0, 3.0, 3.0, 1.0], Depth::F32));
    TiffEncoder::new(create()).unwrap().write_image::<colortype::Gray16>(2, 1, &[0, 65535]).unwrap();
    assert_eq!(still::read(&path).unwrap().frame.pixel(1, 0), [1.0; 4]);
    {
        let mut e = TiffEncoder::new(create()).unwrap();
        let mut i = e.new_image::<colortype::RGB8>(1, 1).unwrap();
        i.extra_samples(&[ExtraSamples::AssociatedAlpha]).unwrap();
        i.write_data(&[51, 102, 0, 102]).unwrap();
    }
    let p = still::read(&path).unwrap().frame.pixel(0, 0);
    assert!(p.iter().zip([0.5, 1.0, 0.0, 0.4]).all(|(a, b)| (a - b).abs() < 1e-6), "{p:?}");
    TiffEncoder::new(create()).unwrap().write_image::<colortype::CMYK8>(1, 1, &[0, 0, 0, 0]).unwrap();
    assert_eq!(still::read(&path).unwrap().frame.to_rgb8(), [255, 255, 255]);
}

#[test]
fn foreign_exrs() {
    use exr::prelude::*;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.exr");
    // grey
    let grey = SpecificChannels::build().with_channel("Y").with_pixel_fn(|p: Vec2<usize>| (p.x() as f32,));
    Image::from_channels((3, 2), grey).write().to_file(&path).unwrap();
    assert_eq!(still::read(&path).unwrap().frame.pixel(2, 1), [2.0, 2.0, 2.0, 1.0]);
    // a layer's prefix, among other channels
    let named = SpecificChannels::build()
        .with_channel("beauty.R")
        .with_channel("beauty.G")
        .with_channel("beauty.B")
        .with_channel("depth.Z")
        .with_pixel_fn(|_| (f16::from_f32(0.5), f16::from_f32(0.25), f16::from_f32(2.0), 9.0f32));
    Image::from_channels((2, 2), named).write().to_file(&path).unwrap();
    let back = still::read(&path).unwrap();
    assert_eq!((back.frame.pixel(1, 1), back.depth), ([0.5, 0.25, 2.0, 1.0], Depth::F16));
    // nothing to show
    let none = SpecificChannels::build().with_channel("depth.Z").with_pixel_fn(|_| (1.0f32,));
    Image::from_channels((2, 2), none).write().to_file(&path).unwrap();
    let e = still::read(&path).unwrap_err();
    assert!(matches!(&e, headgan::Error::Input(t) if t.contains("depth.Z")), "{e}");
    // a data window that is not the display window
    let rgb = SpecificChannels::rgb(|p: Vec2<usize>| (p.x() as f32, p.y() as f32, 1.0f32));
    let layer =
        Layer::new((4, 4), LayerAttributes::named("main").with_position(Vec2(9, -1)), Encoding::FAST_LOSSLESS, rgb);
    let window = IntegerBounds::new(Vec2(10, 0), Vec2(5, 2));
    Image::new(ImageAttributes::new(window), layer).write().to_file(&path).unwrap();
    let f = still::read(&path).unwrap().frame;
    assert_eq!((f.width, f.height), (5, 2));
    assert_eq!(f.pixel(0, 0), [1.0, 1.0, 1.0, 1.0]);
    assert_eq!(f.pixel(2, 1), [3.0, 2.0, 1.0, 1.0]);
    assert_eq!(f.pixel(3, 0), [0.0; 4]);
}

/// The CRC of PNG chunks.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |mut c, b| {
        c ^= u32::from(*b);
        for _ in 0..8 {
            c = if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 };
        }
        c
    })
}

/// A PNG whose header states this size and which holds hardly any data.
fn png_header(width: u32, height: u32, bits: u8, kind: u8) -> Vec<u8> {
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8; 4], data: &[u8]| {
        out.extend_from_slice(&(data.len() as u32).to_be_bytes());
        let mut body = name.to_vec();
        body.extend_from_slice(data);
        out.extend_from_slice(&body);
        out.extend_from_slice(&crc(&body).to_be_bytes());
    };
    let mut head = width.to_be_bytes().to_vec();
    head.extend_from_slice(&height.to_be_bytes());
    head.extend_from_slice(&[bits, kind, 0, 0, 0]);
    chunk(b"IHDR", &head);
    chunk(b"IDAT", &[0x78, 0x9c, 0x63, 0, 0]);
    chunk(b"IEND", &[]);
    out
}

/// Most memory this process ever held, in bytes, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}

#[test]
fn sizes_over_the_limit_are_refused_before_memory_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.png");
    let before = peak_memory();
    for (w, h, bits, kind, says) in [
        (16_384, 16_384, 8, 2, "1.5 GiB"),
        (16_384, 16_384, 16, 6, "1.5 GiB"),
        (16_385, 2, 8, 2, "16384 a side"),
        (0x7fff_ffff, 0x7fff_ffff, 16, 6, "16384 a side"),
        (0, 5, 8, 2, "no pixels"),
        (5, 0, 8, 2, "no pixels"),
    ] {
        std::fs::write(&path, png_header(w, h, bits, kind)).unwrap();
        for e in [still::read(&path).unwrap_err(), Source::open(path.to_str().unwrap()).unwrap_err()] {
            let t = e.to_string();
            assert!(matches!(e, Error::Input(_)) && t.contains("big.png") && t.contains(says), "{t}");
            assert!(!t.contains('\n'));
        }
    }
    // the error says what would fit, and that does
    std::fs::write(&path, png_header(16_384, 16_384, 8, 2)).unwrap();
    let t = still::read(&path).unwrap_err().to_string();
    let side: u64 = t.split("about ").nth(1).unwrap().split('x').next().unwrap().parse().unwrap();
    assert!((8_000..10_000).contains(&side) && side * side * 19 <= 3 << 29, "{t}");
    if let (Some(a), Some(b)) = (before, peak_memory()) {
        // the other tests of this program take some; such a picture alone would take 768
        assert!(b - a < 600 << 20, "{} MiB were taken", (b - a) >> 20);
    }
    // limits are the caller's to set
    std::fs::write(&path, png_header(64, 64, 8, 2)).unwrap();
    let tight = Limits { max_side: 32, max_bytes: 1 << 30 };
    assert!(matches!(still::read_limited(&path, &tight), Err(Error::Input(_))));
}

#[test]
fn what_is_no_image_is_an_input_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = |n: &str| dir.path().join(n);
    std::fs::write(path("empty.png"), b"").unwrap();
    std::fs::write(path("text.png"), b"hello, this is text").unwrap();
    std::fs::write(path("magic.exr"), [0x76, 0x2f, 0x31, 0x01]).unwrap();
    std::fs::create_dir(path("dir.png")).unwrap();
    for (name, says) in [
        ("empty.png", "empty"),
        ("text.png", "no image"),
        ("none.png", "no such file"),
        ("magic.exr", "EXR"),
        ("dir.png", ""),
    ] {
        let e = Source::open(path(name).to_str().unwrap()).map(|_| ()).unwrap_err();
        let t = e.to_string();
        assert!(matches!(e, Error::Input(_)) && t.contains(says) && t.contains(name) && !t.contains('\n'), "{t}");
    }
    let f = Frame::new(2, 2);
    for (name, depth) in [
        ("a.png", Some(Depth::F16)),
        ("a.jpg", Some(Depth::U16)),
        ("a.exr", Some(Depth::U8)),
        ("a.tif", Some(Depth::F16)),
        ("a.bmp", None),
        ("a", None),
    ] {
        let e = still::write(&path(name), &f, &StillOptions { depth, ..Default::default() }).unwrap_err();
        assert!(matches!(e, Error::Usage(_)), "{name}: {e}");
        assert!(!path(name).exists());
    }
    assert!(matches!(still::write(&path("no/a.png"), &f, &Default::default()), Err(Error::Input(_))));
    assert!(matches!(still::write(Path::new("/proc/a.png"), &f, &Default::default()), Err(Error::Input(_))));
}

#[test]
fn damaged_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let f = codes(40, 30, Color::Srgb);
    let limits = Limits { max_side: 4096, max_bytes: 256 << 20 };
    for (name, depth) in [
        ("a.png", Depth::U8),
        ("b.png", Depth::U16),
        ("a.jpg", Depth::U8),
        ("a.tif", Depth::U16),
        ("b.tif", Depth::F32),
        ("a.exr", Depth::F16),
        ("b.exr", Depth::F32),
    ] {
        let path = dir.path().join(name);
        still::write(&path, &f, &options(depth, true)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut seed = 12_345u64;
        let mut random = |n: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % n
        };
        let mut refused = 0;
        for i in 0..400 {
            let mut bytes = whole.clone();
            // half of the damage goes into the header
            let at = if i % 2 == 0 { random(bytes.len()) } else { random(bytes.len().min(400)) };
            bytes[at] ^= 1 << random(8);
            if i % 5 == 0 {
                bytes.truncate(random(bytes.len()));
            }
            std::fs::write(&path, &bytes).unwrap();
            match still::read_limited(&path, &limits) {
                Ok(s) => assert_eq!(s.frame.data.len(), 4 * s.frame.width * s.frame.height),
                Err(Error::Input(t)) => {
                    assert!(!t.contains('\n'));
                    refused += 1;
                }
                Err(e) => panic!("{name}: {e}"),
            }
        }
        assert!(refused > 0, "{name}");
    }
}

//! Pictures and video in and out: stills and sequences natively, video through the user's `ffmpeg`.

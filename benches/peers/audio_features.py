"""Audio features of a minute of sound: ours and pyAudioAnalysis 0.3.14, one thread each, in turn.

    pip install pyAudioAnalysis==0.3.14 numpy scipy scikit-learn imbalanced-learn hmmlearn plotly tqdm matplotlib pydub eyed3
    cargo build --release --examples
    python benches/peers/audio_features.py

The layout of 84 values is what pyAudioAnalysis computes with the official HeadGAN code's small constant and scaling, less the
chroma, which that code leaves out: its time is that of 21 features a window, with upstream's own functions.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import pathlib
import sys
import time

import numpy as np
import speechlike
from program import Program
from pyAudioAnalysis import MidTermFeatures, ShortTermFeatures
from speechlike import RATE

PROGRAM = pathlib.Path("target/release/examples/bench_audio" + (".exe" if sys.platform == "win32" else ""))


def short68(samples):
    return ShortTermFeatures.feature_extraction(samples, RATE, 0.05 * RATE, 0.025 * RATE)[0]


def headgan84(samples):
    """The sizes that 25 frames a second have at 16 kHz; upstream's functions with the constant and the scaling of the official copy."""
    upstream = ShortTermFeatures
    saved = upstream.eps, upstream.dc_normalize, upstream.chroma_features
    upstream.eps = 1e-8
    upstream.dc_normalize = lambda x: (x - x.mean()) / (np.abs(x).max() + 1e-10)
    upstream.chroma_features = lambda *_: (None, np.zeros((12, 1)))
    try:
        # 0.3.14 counts the windows of a stretch by (length - (window - step)) / step; the official copy by length / step.
        features = MidTermFeatures.mid_feature_extraction(samples, RATE, 5120 + 320 - 40, 640, 320, 40)[0]
    finally:
        upstream.eps, upstream.dc_normalize, upstream.chroma_features = saved
    kept = np.r_[0:21, 34:55]
    return features[np.r_[kept, kept + 68]]


def bench(layout, peer, samples, wav, args):
    expected = args.out / f"{layout}.f64"
    np.ascontiguousarray(peer(samples), "<f8").tofile(expected)
    ours, times = Program(PROGRAM, wav, layout, expected), {"ours": [], "pyAudioAnalysis": []}
    ours.ms()
    for _ in range(args.rounds):
        times["ours"].append(ours.ms())
        start = time.perf_counter()
        peer(samples)
        times["pyAudioAnalysis"].append((time.perf_counter() - start) * 1e3)
    median = {name: float(np.median(ms)) for name, ms in times.items()}
    return {"layout": layout, "median_ms": median, "min_ms": {name: min(ms) for name, ms in times.items()},
            "faster": median["pyAudioAnalysis"] / median["ours"],
            "faster_by_minima": min(times["pyAudioAnalysis"]) / min(times["ours"])} | ours.finish()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds of each (5)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/peers"), help="folder of the files made (out/peers)")
    parser.add_argument("--json", action="store_true", help="print one JSON document a layout instead of a table")
    args = parser.parse_args()
    if not PROGRAM.is_file():
        sys.exit(f"{PROGRAM} is missing: run this from the repository root after `cargo build --release --examples`")
    args.out.mkdir(parents=True, exist_ok=True)
    wav = args.out / "minute.wav"
    samples = speechlike.write(wav, 60, pauses=True)
    for layout, peer in (("short68", short68), ("headgan84", headgan84)):
        result = bench(layout, peer, samples, wav, args)
        if args.json:
            print(json.dumps(result))
            continue
        print(f"{layout}, 60 s at 16 kHz, one thread, {args.rounds} rounds")
        for name, ms in result["median_ms"].items():
            print(f"  {name:16s} median {ms:9.1f} ms   min {result['min_ms'][name]:9.1f} ms")
        print(f"  {result['faster']:.1f} times as fast (by minima {result['faster_by_minima']:.1f}); largest difference "
              f"{result['max_abs_difference']:.1e} in {result['values']} values")


if __name__ == "__main__":
    main()

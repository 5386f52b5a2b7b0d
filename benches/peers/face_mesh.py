"""The 478 points of a face: ours and MediaPipe's own FaceMesh from Python, on the same frames, one thread each, in turn.

    pip install --no-deps mediapipe==0.10.14          (Python 3.9 to 3.12)
    pip install numpy==1.26.4 opencv-python-headless==4.10.0.84 protobuf==4.25.3 absl-py attrs flatbuffers matplotlib ai-edge-litert
    cargo build --release --examples --bins
    python benches/peers/face_mesh.py CLIP [--frames N] [--rounds N]

Both see the clip's first frames at its own size, decoded beforehand; each goes on in the region that the frame before left. Prints
milliseconds a frame (medians over the rounds) and their ratio. Then each network runs on the same random input here and in LiteRT:
the largest difference, relative to the largest value (bar 1e-3). LiteRT does not know the operators of the mesh with attention: the
tests compare that network's points with MediaPipe's (src/face/dense/parity.rs).
"""

import os

os.environ["GLOG_minloglevel"] = "3"
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import cv2
import mediapipe as mp
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from program import Program

cv2.setNumThreads(1)
SUFFIX = ".exe" if sys.platform == "win32" else ""
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release"
NETWORKS = {
    "face_detection_short_range": "face_detection",
    "face_detection_full_range_sparse": "face_detection",
    "face_landmark": "face_landmark",
    "iris_landmark": "iris_landmark",
    "selfie_segmentation": "selfie_segmentation",
}


def frames(clip, count):
    video = cv2.VideoCapture(clip)
    out = []
    while len(out) < count:
        ok, frame = video.read()
        if not ok:
            break
        out.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    return out


def peer(pictures):
    options = dict(static_image_mode=False, refine_landmarks=True, max_num_faces=1)
    with mp.solutions.face_mesh.FaceMesh(**options, min_detection_confidence=0.3, min_tracking_confidence=0.3) as mesh:
        mesh.process(pictures[0])
        start = time.perf_counter()
        for picture in pictures:
            mesh.process(picture)
        return (time.perf_counter() - start) * 1e3 / len(pictures)


def parity(modules, packs):
    rng = np.random.default_rng(5)
    for name, folder in NETWORKS.items():
        interpreter = Interpreter(str(modules / folder / f"{name}.tflite"), num_threads=1)
        interpreter.allocate_tensors()
        given = interpreter.get_input_details()[0]
        x = rng.random(given["shape"], np.float32)
        interpreter.set_tensor(given["index"], x)
        interpreter.invoke()
        raw = np.ascontiguousarray(x.transpose(0, 3, 1, 2), "<f4").tobytes()
        run = [TARGET / f"examples/bench_dense{SUFFIX}", "outputs", packs, name]
        ours = json.loads(subprocess.run(list(map(str, run)), input=raw, capture_output=True, check=True).stdout)
        worst = 0.0
        for output in interpreter.get_output_details():
            theirs = interpreter.get_tensor(output["index"]).ravel()
            parts = [v for k, v in ours.items() if k == output["name"] or k.rsplit(".", 1)[0] == output["name"]]
            mine = np.concatenate([np.asarray(p, np.float32) for p in parts])
            assert mine.size == theirs.size, (name, output["name"], mine.size, theirs.size)
            worst = max(worst, float(np.abs(mine - theirs).max() / max(1.0, np.abs(theirs).max())))
        print(f"{name}: differs from LiteRT by at most {worst:.1e}{'' if worst <= 1e-3 else '  ABOVE 1e-3'}")


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("clip")
    args.add_argument("--frames", type=int, default=100)
    args.add_argument("--rounds", type=int, default=7)
    args = args.parse_args()
    modules = pathlib.Path(mp.__file__).parent / "modules"
    with tempfile.TemporaryDirectory() as packs:
        command = [TARGET / f"headgan{SUFFIX}", "models", "import", "mediapipe", "--from", modules, "--to", packs]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
        parity(modules, packs)
        pictures = frames(args.clip, args.frames)
        ours = Program(TARGET / f"examples/bench_dense{SUFFIX}", "time", packs, args.clip, "--frames", args.frames, "--threads", 1)
        times = {"ours": [], "MediaPipe": []}
        ours.ms()
        for _ in range(args.rounds):
            times["ours"].append(ours.ms())
            times["MediaPipe"].append(peer(pictures))
        detection = ours.finish()["detection"]
    a, b = (statistics.median(times[k]) for k in ("ours", "MediaPipe"))
    print(f"478 points of {len(pictures)} frames: ours {a:.2f} ms a face, MediaPipe {b:.2f} ms, ratio {a / b:.2f}; a detection {detection:.2f} ms")


if __name__ == "__main__":
    main()

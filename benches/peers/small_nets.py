"""The small networks: our engine and onnxruntime on the graphs that our exporter wrote; same threads, in turn.

    cargo build --release --examples
    python benches/peers/small_nets.py --threads 1
"""

import json

import numpy as np

import common

# Architecture, side of the input in pixels, range of its values. RetinaFace is mobilenet0.25, MobileNetV1 is mb05.
NETWORKS = [
    ("retinaface", 640, (-120, 150)),
    ("mobilenet-v1", 120, (-1, 1)),
    ("faceboxes", 640, (-120, 150)),
    ("mobilefacenet", 112, (-1, 1)),
]


def bench(architecture, size, span, args):
    needs = common.needs(architecture, size)
    weights = common.random_weights(needs["layers"])
    rng = np.random.default_rng(2)
    inputs = {k: rng.uniform(*span, shape).astype(np.float32) for k, shape in needs["inputs"].items()}
    file = args.out / f"{architecture}_{size}.safetensors"
    common.save(file, weights, inputs, {})
    onnx = common.Onnx(common.export(architecture, file, size), inputs, args.threads)
    expected = onnx.frame()
    assert all(np.isfinite(v).all() for v in expected.values())
    common.save(file, weights, inputs, expected)
    ours = common.ours(architecture, file, size, args.threads)
    times = common.alternate({"ours": ours.ms, "onnxruntime": common.timed(onnx.frame)}, args.rounds)
    scale = {name: round(float(np.abs(value).max()), 2) for name, value in expected.items()}
    title = f"{architecture}, {size} px, {args.threads} thread(s), {args.rounds} rounds; outputs reach {json.dumps(scale)}"
    return common.report(title, times, ours.finish(), {}, args.json)


def main():
    args = common.arguments(__doc__.splitlines()[0], rounds=50).parse_args()
    for architecture, size, span in NETWORKS:
        bench(architecture, size, span, args)


if __name__ == "__main__":
    main()

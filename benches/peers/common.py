"""What both benchmarks share: the program under test, weights, onnxruntime sessions, alternating measurement."""

import argparse
import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import onnxruntime
from program import Program
from safetensors.numpy import save_file

PROGRAM = pathlib.Path("target/release/examples/bench_network" + (".exe" if sys.platform == "win32" else ""))


def arguments(description, rounds):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--threads", type=int, default=1, help="threads of every engine (1)")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"measured frames of every engine ({rounds})")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/peers"), help="folder of the files made (out/peers)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    return parser


def program(*args):
    if not PROGRAM.is_file():
        sys.exit(f"{PROGRAM} is missing: run this from the repository root after `cargo build --release --examples`")
    return [str(PROGRAM), *map(str, args)]


def needs(architecture, size, config=None):
    """Arrays and inputs of a network by name, with their shapes."""
    more = ["--config", json.dumps(config)] if config else []
    return json.loads(subprocess.check_output(program("layers", architecture, "--size", size, *more)))


def random_weights(layers, seed=1):
    """Seeded weights, scaled so that values keep their size from layer to layer."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in layers.items():
        values = rng.uniform(-1, 1, shape).astype(np.float32)
        part = name.rsplit(".", 1)[1]
        if part == "running_var" or (part == "weight" and len(shape) == 1):
            values = 1 + values / 2
        elif part == "weight":
            values *= np.sqrt(3 / np.prod(shape[1:]))
        else:
            values *= 0.2
        weights[name] = values.astype(np.float32)
    return weights


def generator_arguments(parser):
    """What the generator's benches are asked for."""
    parser.add_argument("--size", type=int, default=256, help="side of the picture in pixels (256)")
    parser.add_argument("--ngf", type=int, default=32, help="channels at full size (32)")
    parser.add_argument("--spade", type=int, default=256, help="hidden channels of SPADE layers (256)")
    parser.add_argument("--audio", type=int, default=300, help="length of the audio vector, 0 for none (300)")


def generator_case(args):
    """Random weights and inputs of the official generator's architecture."""
    config = {"ngf": args.ngf, "levels": 2, "spade": args.spade, "frames": 3, "audio": args.audio}
    shapes = needs("headgan-generator", args.size, config)
    rng = np.random.default_rng(2)
    inputs = {k: rng.uniform(0, 1, shape).astype(np.float32) for k, shape in shapes["inputs"].items()}
    inputs["reference"][:, 3:] = inputs["reference"][:, 3:] * 2 - 1
    return random_weights(shapes["layers"]), inputs


def save(path, weights, inputs, outputs):
    """The file that the program reads: `state.*`, `input.*`, `output.*`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {"state." + k: v for k, v in weights.items()}
    arrays |= {"input." + k: v for k, v in inputs.items()} | {"output." + k: v for k, v in outputs.items()}
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, path)


def export(architecture, file, size):
    graph = file.with_suffix(".onnx")
    subprocess.run(program("export", architecture, file, graph, "--size", size), check=True)
    return graph


class Onnx:
    """onnxruntime on a graph that our exporter wrote."""

    def __init__(self, graph, inputs, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
        self.names = [o.name for o in self.session.get_outputs()]
        self.inputs = inputs

    def frame(self):
        return dict(zip(self.names, self.session.run(self.names, self.inputs)))


def ours(architecture, file, size, threads):
    """`bench_network` on a network."""
    return Program(*program("run", architecture, file, "--size", size, "--threads", threads, "--step"))


def timed(frame):
    """Milliseconds of one call."""

    def run():
        start = time.perf_counter()
        frame()
        return (time.perf_counter() - start) * 1e3

    return run


def alternate(engines, rounds):
    """Calls every engine in turn, `rounds` times after one warm-up; milliseconds by engine."""
    for run in engines.values():
        run()
    times = {name: [] for name in engines}
    for _ in range(rounds):
        for name, run in engines.items():
            times[name].append(run())
    return times


def differences(ours, theirs):
    return {name: float(np.abs(ours[name] - theirs[name]).max()) for name in theirs}


def report(title, times, ours, others, as_json):
    """Medians, ratios to each peer, differences. `others`: differences of each peer to the expected outputs."""
    median = {name: float(np.median(ms)) for name, ms in times.items()}
    result = {
        "title": title,
        "median_ms": median,
        "min_ms": {name: min(ms) for name, ms in times.items()},
        "ratios": {f"ours/{name}": median["ours"] / ms for name, ms in median.items() if name != "ours"},
        "peak_mb": ours["peak_mb"],
        "max_abs_difference": {"ours": ours["max_abs_difference"]} | others,
    }
    if as_json:
        print(json.dumps(result))
        return result
    print(title)
    for name, ms in median.items():
        ratio = "" if name == "ours" else f"   ours/{name} {median['ours'] / ms:.3f}"
        print(f"  {name:12s} median {ms:9.2f} ms   min {result['min_ms'][name]:9.2f} ms{ratio}")
    for name, values in result["max_abs_difference"].items():
        print(f"  {name:12s} largest differences: " + ", ".join(f"{k} {v:.1e}" for k, v in values.items()))
    print(f"  ours: peak memory {ours['peak_mb']} MiB")
    return result

"""The full HeadGAN generator: our engine, PyTorch eager, onnxruntime; same weights, same threads, in turn.

    cargo build --release --examples
    python benches/peers/generator.py --threads 1
"""

import pathlib

import numpy as np
import torch
from safetensors.torch import load_file

import common
from reference import Generator, fold

ARCHITECTURE = "headgan-generator"


def check_reference(path):
    """The PyTorch re-implementation against the official code's own outputs."""
    file = load_file(path)
    part = lambda prefix: {k[len(prefix):]: v for k, v in file.items() if k.startswith(prefix)}
    inputs, expected = part("input."), part("output.")
    generator = Generator(fold(part("state.")))
    outputs = generator(inputs["reference"], inputs["pncc"], inputs.get("audio"))
    worst = {k: float((v - expected[k]).abs().max()) for k, v in outputs.items()}
    assert max(worst.values()) < 1e-3, worst
    print(f"reference.py against {path.name}: " + ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))


def main():
    parser = common.arguments(__doc__.splitlines()[0], rounds=5)
    common.generator_arguments(parser)
    parser.add_argument("--fixture", type=pathlib.Path, action="append", default=[], help="check the PyTorch generator with this file and end")
    args = parser.parse_args()
    if args.fixture:
        for path in args.fixture:
            check_reference(path)
        return

    torch.set_num_threads(args.threads)
    weights, inputs = common.generator_case(args)

    generator = Generator({k: torch.from_numpy(v) for k, v in weights.items()})
    tensors = {k: torch.from_numpy(v) for k, v in inputs.items()}
    expected = {k: v.numpy() for k, v in generator(**tensors).items()}
    assert all(np.isfinite(v).all() for v in expected.values())

    file = args.out / f"generator_ngf{args.ngf}_{args.size}.safetensors"
    common.save(file, weights, inputs, expected)
    onnx = common.Onnx(common.export(ARCHITECTURE, file, args.size), inputs, args.threads)
    ours = common.ours(ARCHITECTURE, file, args.size, args.threads)
    engines = {"ours": ours.ms, "torch": common.timed(lambda: generator(**tensors)), "onnxruntime": common.timed(onnx.frame)}
    times = common.alternate(engines, args.rounds)
    parameters = sum(v.size for v in weights.values()) / 1e6
    title = f"HeadGAN generator, ngf {args.ngf}, {parameters:.1f} M parameters, {args.size} px, {args.threads} thread(s), {args.rounds} rounds"
    others = {"onnxruntime": common.differences(onnx.frame(), expected)}
    common.report(title, times, ours.finish(), others, args.json)


if __name__ == "__main__":
    main()

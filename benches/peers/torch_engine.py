"""The full HeadGAN generator: the torch engine beside PyTorch eager; same weights, same libtorch version, same threads, in turn.

    cargo build --release --examples
    cargo build --release --manifest-path backends/torch/Cargo.toml --examples
    LD_LIBRARY_PATH=$LIBTORCH/lib python benches/peers/torch_engine.py --threads 2
"""

import os
import pathlib
import sys

import torch

import common
from program import Program
from reference import Generator

ARCHITECTURE = "headgan-generator"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "backends/torch/target"))
PROGRAM = TARGET / "release/examples/bench_engine"


def main():
    parser = common.arguments(__doc__.splitlines()[0], rounds=5)
    common.generator_arguments(parser)
    parser.add_argument("--layout", choices=["planes", "pixels"], default="planes", help="of our tensors (planes)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="of both (cpu)")
    parser.add_argument("--precision", choices=["fp32", "tf32", "fp16", "bf16"], default="fp32", help="of both (fp32)")
    args = parser.parse_args()
    if not PROGRAM.is_file():
        sys.exit(f"{PROGRAM} is missing: cargo build --release --manifest-path backends/torch/Cargo.toml --examples")

    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = args.precision != "fp32"
    weights, inputs = common.generator_case(args)
    expected = Generator({k: torch.from_numpy(v) for k, v in weights.items()})
    expected = {k: v.numpy() for k, v in expected(**{k: torch.from_numpy(v) for k, v in inputs.items()}).items()}
    file = args.out / f"torch_engine_ngf{args.ngf}_{args.size}.safetensors"
    common.save(file, weights, inputs, expected)

    kind = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(args.precision, torch.float32)
    move = lambda values: {k: torch.from_numpy(v).to(args.device, kind) for k, v in values.items()}
    eager = Generator(move(weights))

    def peer():
        out = eager(**move(inputs))
        return {k: v.float().cpu().numpy() for k, v in out.items()}

    command = [PROGRAM, ARCHITECTURE, file, "--size", args.size, "--threads", args.threads]
    command += ["--layout", args.layout, "--device", args.device, "--precision", args.precision]
    ours = Program(*command)
    times = common.alternate({"ours": ours.ms, "torch eager": common.timed(peer)}, args.rounds)
    parameters = sum(v.size for v in weights.values()) / 1e6
    title = f"HeadGAN generator, ngf {args.ngf}, {parameters:.1f} M parameters, {args.size} px, {args.device} {args.precision}, "
    title += f"{args.layout}, {args.threads} thread(s), {args.rounds} rounds, PyTorch {torch.__version__}"
    common.report(title, times, ours.finish(), {"torch eager": common.differences(peer(), expected)}, args.json)


if __name__ == "__main__":
    main()

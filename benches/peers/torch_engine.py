"""The full HeadGAN generator: the torch engine beside PyTorch eager; same weights, same libtorch version, same threads, in turn.

    cargo build --release --examples
    cargo build --release --manifest-path backends/torch/Cargo.toml --examples
    LD_LIBRARY_PATH=$LIBTORCH/lib python benches/peers/torch_engine.py --threads 2
"""

import os
import pathlib
import sys

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

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
    parser.add_argument("--batch", type=int, default=1, help="frames computed together (1)")
    parser.add_argument("--kept", action="store_true", help="ours looks at the reference once, as the program does")
    parser.add_argument("--peak", type=float, metavar="TFLOPS", help="the card's rate of matrix products, to print our share of it")
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
    together = {k: np.concatenate([v] * args.batch) for k, v in inputs.items()}
    with FlopCounterMode(display=False) as counter:
        eager(**move(inputs))
    work = counter.get_total_flops()

    def peer():
        out = eager(**move(together))
        return {k: v.float().cpu().numpy() for k, v in out.items()}

    command = [PROGRAM, ARCHITECTURE, file, "--size", args.size, "--threads", args.threads]
    command += ["--layout", args.layout, "--device", args.device, "--precision", args.precision, "--batch", args.batch]
    command += ["--kept"] if args.kept else []
    ours = Program(*command)
    times = common.alternate({"ours": ours.ms, "torch eager": common.timed(peer)}, args.rounds)
    parameters = sum(v.size for v in weights.values()) / 1e6
    title = f"HeadGAN generator, ngf {args.ngf}, {parameters:.1f} M parameters, {args.size} px, {args.device} {args.precision}, "
    title += f"{args.layout}, {args.batch} frame(s) at once, {args.threads} thread(s), {args.rounds} rounds, PyTorch {torch.__version__}"
    first = {k: v[:1] for k, v in peer().items()}
    result = common.report(title, times, ours.finish(), {"torch eager": common.differences(first, expected)}, args.json)
    if not args.json:
        frame = result["median_ms"]["ours"] / args.batch
        share = f", {work / frame / 1e7 / args.peak:.1f} % of {args.peak:g} TFLOP/s" if args.peak else ""
        print(f"ours: {frame:.2f} ms a frame; {work / 1e9:.0f} GFLOP with its reference{share}")


if __name__ == "__main__":
    main()

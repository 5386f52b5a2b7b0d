"""Runs ONNX graphs that tests/onnx_export.rs left in a folder with onnx.checker and onnxruntime.

    HEADGAN_ONNX_OUT=out/onnx cargo test --release --test onnx_export
    python benches/peers/check_onnx.py out/onnx

Every NAME.onnx has a NAME.safetensors beside it with `input.*` and the plain executor's `output.*`.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file


def main():
    graphs = sorted(pathlib.Path(sys.argv[1]).glob("*.onnx"))
    worst = []
    for path in graphs:
        onnx.checker.check_model(str(path), full_check=True)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        arrays = load_file(path.with_suffix(".safetensors"))
        feeds = {i.name: arrays["input." + i.name] for i in session.get_inputs()}
        names = [o.name for o in session.get_outputs()]
        for name, value in zip(names, session.run(names, feeds)):
            expected = arrays["output." + name]
            assert value.shape == expected.shape, (path.name, name, value.shape, expected.shape)
            scale = max(1.0, float(np.abs(expected).max()))
            worst.append((float(np.abs(value - expected).max()) / scale, path.stem, name))
    worst.sort(reverse=True)
    print(f"{len(graphs)} graphs, {len(worst)} outputs; largest differences to the plain executor (relative where values exceed 1):")
    for difference, graph, name in worst[:8]:
        print(f"  {difference:.2e}  {graph} {name}")
    return 1 if not graphs or not worst[0][0] <= 1e-4 else 0


if __name__ == "__main__":
    sys.exit(main())

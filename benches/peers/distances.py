"""What check_lpips.py and check_fid.py share: the program, pictures, a state dict of random weights."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

PROGRAM = pathlib.Path("target/release/examples/picture_distance" + (".exe" if sys.platform == "win32" else ""))
OUT = pathlib.Path("out/peers")


def ours(*arguments):
    """The numbers that our program prints."""
    if not PROGRAM.is_file():
        sys.exit(f"{PROGRAM} is missing: run this from the repository root after `cargo build --release --examples`")
    return json.loads(subprocess.check_output([str(PROGRAM), *map(str, arguments)]))


def picture(seed, width=256, height=256):
    """Blurred noise on a gradient, with hard-edged rectangles: smooth parts, texture and edges, 8-bit RGB."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    values = np.stack([x * rng.uniform(0, 200) + y * rng.uniform(0, 200) for _ in range(3)], -1)
    coarse = rng.uniform(-80, 80, (height // 8 + 1, width // 8 + 1, 3))
    values += np.kron(coarse, np.ones((8, 8, 1)))[:height, :width]
    for _ in range(6):
        x0, y0 = rng.integers(0, width), rng.integers(0, height)
        values[y0 : y0 + rng.integers(8, 90), x0 : x0 + rng.integers(8, 90)] = rng.uniform(0, 255, 3)
    return Image.fromarray(np.clip(values + rng.normal(0, 6, values.shape), 0, 255).astype(np.uint8))


def randomise(model, seed=1):
    """Seeded weights, scaled so that values keep their size from layer to layer; what no layer learns stays as it is."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in model.named_parameters():
        noise = torch.rand(value.shape, generator=generator) * 2 - 1
        if value.dim() > 1:
            noise *= (6 / value[0].numel()) ** 0.5
        else:
            noise = 1 + noise / 2 if name.endswith("weight") else noise * 0.2
        value.data.copy_(noise)
    for name, value in model.named_buffers():
        noise = torch.rand(value.shape, generator=generator) * 2 - 1
        if name.endswith("running_var"):
            value.copy_(1 + noise / 2)
        elif name.endswith("running_mean"):
            value.copy_(noise * 0.2)


def write(state, name):
    """The state dict as both files that users have: a torch checkpoint and safetensors."""
    OUT.mkdir(parents=True, exist_ok=True)
    files = [OUT / f"{name}.pth", OUT / f"{name}.safetensors"]
    torch.save(state, files[0])
    save_file({key: value.clone().contiguous() for key, value in state.items()}, files[1])
    return files

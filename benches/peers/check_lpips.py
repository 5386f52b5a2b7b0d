"""LPIPS of picture pairs: ours and the PyPI package's, on one state dict: a random trunk, the published channel weights.

    pip install torch torchvision lpips pillow numpy safetensors
    cargo build --release --examples
    python benches/peers/check_lpips.py

Prints the largest relative difference of each trunk; ends with 1 where one is above 1e-4.
"""

import sys

import lpips
import numpy as np
import torch
from PIL import Image

import distances

BAR = 1e-4


def main():
    distances.OUT.mkdir(parents=True, exist_ok=True)
    files = []
    # Of several sizes; a far pair, a near one, equal ones.
    for i, size in enumerate([(256, 256), (256, 256), (97, 131)]):
        first = distances.picture(10 * i, *size)
        near = np.clip(np.asarray(first).astype(int) + np.random.default_rng(i).integers(-9, 10, (*size[::-1], 3)), 0, 255)
        for k, second in enumerate([distances.picture(10 * i + 1, *size), Image.fromarray(near.astype(np.uint8)), first]):
            pair = [distances.OUT / f"lpips_{i}_{k}_{side}.png" for side in "ab"]
            first.save(pair[0])
            second.save(pair[1])
            files += pair
    worst = 0.0
    for net in ["alex", "vgg"]:
        model = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
        distances.randomise(model.net)
        tensors = [lpips.im2tensor(np.asarray(Image.open(f))) for f in files]
        with torch.no_grad():
            expected = [float(model(a, b)) for a, b in zip(tensors[::2], tensors[1::2])]
        for weights in distances.write(model.state_dict(), f"lpips_{net}"):
            got = distances.ours("lpips", weights, *files)
            apart = [abs(g - e) / e if e > 0 else abs(g) for g, e in zip(got, expected)]
            worst = max(worst, *apart)
            span = f"{min(e for e in expected if e > 0):.4f} to {max(expected):.4f}"
            print(f"lpips {net:4s} {weights.suffix:12s} {len(got)} pairs, {span}: largest relative difference {max(apart):.1e}")
    print("within" if worst <= BAR else "ABOVE", f"the bar of {BAR:g}")
    sys.exit(worst > BAR)


if __name__ == "__main__":
    main()

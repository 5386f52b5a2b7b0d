"""FID of two folders: ours and pytorch-fid's, on one state dict of random weights.

    pip install torch torchvision pytorch-fid scipy pillow numpy safetensors
    cargo build --release --examples
    python benches/peers/check_fid.py                     # --pictures 40: in each folder

Prints the relative differences of a picture's features and of the distance; ends with 1 where one is above 1e-3. pytorch-fid takes
the root of a singular matrix where pictures are fewer than 2048; the distance of the same features by singular values in NumPy
stands beside it.
"""

import argparse
import shutil
import sys

import numpy as np
import torch
from pytorch_fid import fid_score, inception

import distances

BAR = 1e-3


def network():
    """pytorch-fid's network with random weights, and its state dict."""
    states = []

    def no_download(*_, **__):
        # The module as it is built tells names and shapes.
        raw = inception._inception_v3(num_classes=1008, aux_logits=False, weights=None)
        distances.randomise(raw)
        states.append(raw.state_dict())
        return states[0]

    inception.load_state_dict_from_url = no_download
    model = inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()
    return model, states[0]


def by_singular_values(a, b):
    """The Fréchet distance of two sets of features, one a row."""
    roots = [(x - x.mean(0)) / (len(x) - 1) ** 0.5 for x in (a, b)]
    common = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + sum(np.sum(r**2) for r in roots) - 2 * common


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=24, help="pictures in each folder (24)")
    args = parser.parse_args()
    folders = [distances.OUT / "fid_a", distances.OUT / "fid_b"]
    for k, folder in enumerate(folders):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for i in range(args.pictures):
            distances.picture(1000 * k + i).save(folder / f"{i:04d}.png")
    model, state = network()
    files = [sorted(folder.glob("*.png")) for folder in folders]
    features = [fid_score.get_activations(f, model, batch_size=8, num_workers=0) for f in files]
    stats = [(x.mean(0), np.cov(x, rowvar=False)) for x in features]
    theirs = float(fid_score.calculate_frechet_distance(*stats[0], *stats[1]))
    direct = float(by_singular_values(*features))
    worst = 0.0
    for weights in distances.write(state, "inception"):
        seen = np.array(distances.ours("features", weights, files[0][0]))
        apart = float(np.abs(seen - features[0][0]).max() / np.abs(features[0][0]).max())
        (got,) = distances.ours("fid", weights, *folders)
        off = abs(got - theirs) / theirs
        worst = max(worst, apart, off)
        print(f"features {weights.suffix:12s} largest relative difference {apart:.1e}")
        print(f"fid      {weights.suffix:12s} {args.pictures} + {args.pictures} pictures: ours {got:.6g}, pytorch-fid {theirs:.6g}, "
              f"relative difference {off:.1e}; by singular values {direct:.6g}, {abs(got - direct) / direct:.1e}")
    print("within" if worst <= BAR else "ABOVE", f"the bar of {BAR:g}")
    sys.exit(worst > BAR)


if __name__ == "__main__":
    main()

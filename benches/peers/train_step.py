"""One training step of headgan-train beside the same step in PyTorch: differences after it, and the time of both.

Small generator (ngf 8, SPADE width 16, prior and composition), both discriminators (64 filters / 4), batch 1, hinge, feature
matching, masked L1, mask and gate losses, spectral norm with one power iteration, Adam. The perceptual loss is left out:
its network is no part of the project.

    export LIBTORCH=$(packaging/libtorch.sh) LIBTORCH_CXX11_ABI=1
    (cd backends/torch && cargo build --release -p headgan-train --examples)
    python benches/peers/train_step.py --threads 2
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from safetensors import safe_open

from reference import Generator, warp

PROGRAM = pathlib.Path("backends/torch/target/release/examples/train_step")
MOUTH = 64
PLAYERS = ("generator", "picture_judge", "mouth_judge")


def load(path):
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        return tensors, json.loads(file.metadata()["config"])


def part(tensors, prefix):
    return {name[len(prefix) + 1 :]: t for name, t in tensors.items() if name.startswith(prefix + ".")}


class Learned:
    """Weights with spectral norm as torch.nn.utils.spectral_norm has it, and their Adam."""

    def __init__(self, tensors, name, rate, betas):
        self.weights = {k: t.clone().requires_grad_(True) for k, t in part(tensors, name).items()}
        self.vectors = {k: t.clone() for k, t in part(tensors, name + "_vectors").items()}
        self.adam = torch.optim.Adam(self.weights.values(), lr=rate, betas=betas)

    def effective(self, iterate):
        out = {}
        for name, w in self.weights.items():
            layer, kind = name.rsplit(".", 1)
            if kind != "weight_orig":
                out[name] = w
                continue
            matrix = w.flatten(1)
            if iterate:
                with torch.no_grad():
                    v = F.normalize(matrix.t() @ self.vectors[layer + ".weight_u"], dim=0, eps=1e-12)
                    u = F.normalize(matrix @ v, dim=0, eps=1e-12)
                self.vectors |= {layer + ".weight_u": u, layer + ".weight_v": v}
            u, v = self.vectors[layer + ".weight_u"], self.vectors[layer + ".weight_v"]
            out[layer + ".weight"] = w / torch.dot(u, matrix @ v)
        return out

    def learn(self, loss, clip):
        self.adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), clip)
        self.adam.step()


def judge(w, x, layers, scales):
    out = []
    for scale in range(scales):
        if scale > 0:
            x = F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        name, y, features = f"discriminator_{scale}.model", x, []
        for i in range(layers + 1):
            inner = 0 < i < layers
            layer = f"{name}{i}.0.0" if inner else f"{name}{i}.0"
            y = F.conv2d(y, w[layer + ".weight"], w.get(layer + ".bias"), 2 if i + 1 < layers else 1, 2)
            if inner:
                norm = f"{name}{i}.0.1"
                y = F.instance_norm(y, weight=w[norm + ".weight"], bias=w[norm + ".bias"])
            y = F.leaky_relu(y, 0.2) if i < layers else y
            features.append(y)
        out.append(features)
    return out


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def matching(real, fake):
    return mean(sum((r - f).abs().mean() for r, f in zip(a[:-1], b[:-1])) for a, b in zip(real, fake))


def hinge_judge(real, fake):
    return mean(F.relu(1 - r[-1]).mean() + F.relu(1 + f[-1]).mean() for r, f in zip(real, fake))


def l1(a, b, weight):
    return ((a - b).abs() * weight).sum() / (weight.sum() * a.shape[1]).clamp_min(1)


class Peer:
    def __init__(self, before, device="cpu"):
        tensors, self.config = load(before)
        tensors = {name: t.to(device) for name, t in tensors.items()}
        c, self.batch = self.config, part(tensors, "batch")
        rates = (c["generator_rate"], c["judge_rate"], c["judge_rate"])
        self.players = {n: Learned(tensors, n, r, c["betas"]) for n, r in zip(PLAYERS, rates)}

    def judges(self, weights, name, x):
        size = self.config[name]
        return judge(weights, x, size["layers"], size["scales"])

    def step(self):
        c, b, w = self.config, self.batch, self.config["losses"]
        g = Generator(self.players["generator"].effective(True), c["generator"]["levels"], prior=True, compose=True)
        out = g.forward(b["reference"], b["pncc"], prior=b["prior"])
        out["image"] = out["image"] + b["draft"] - warp(b["reference"][:, 3:], b["prior"])
        inside, outside = b["valid"] * b["face"], b["valid"] * (1 - b["face"])
        pair = lambda x: w["inside"] * l1(x, b["target"], inside) + w["outside"] * l1(x, b["target"], outside)
        loss = pair(out["image"]) + pair(out["warped"]) + w["mask"] * out["mask"].mean()
        loss = loss - w["gate"] * out["mask"].clamp_min(1e-6).log().mean()
        image = out["image"] * b["valid"] + b["target"] * (1 - b["valid"])
        side = image.shape[2]
        x0, y0 = (min(max(round(f * side) - MOUTH // 2, 0), side - MOUTH) for f in (0.5, 0.625))
        mouth = lambda x: x[:, :, y0 : y0 + MOUTH, x0 : x0 + MOUTH]
        see = {"picture_judge": lambda x: torch.cat([b["pncc"][:, -3:], x], 1), "mouth_judge": mouth}
        for name, weight in (("picture_judge", w["picture"]), ("mouth_judge", w["mouth"])):
            with torch.no_grad():
                weights = self.players[name].effective(False)
                real = self.judges(weights, name, see[name](b["target"]))
            fake = self.judges(weights, name, see[name](image))
            loss = loss + weight * mean(-f[-1].mean() for f in fake) + w["feature_matching"] * matching(real, fake)
        self.players["generator"].learn(loss, c["clip"])
        image = image.detach()
        for name in ("picture_judge", "mouth_judge"):
            weights = self.players[name].effective(True)
            real, fake = (self.judges(weights, name, see[name](x)) for x in (b["target"], image))
            self.players[name].learn(hinge_judge(real, fake), c["clip"])


class Ours:
    def __init__(self, folder, side, threads, double=False, device="cpu", batch=1):
        self.before, self.after = folder / "before.safetensors", folder / "after.safetensors"
        command = [str(PROGRAM), str(self.before), str(self.after), "--side", str(side), "--threads", str(threads)]
        command += ["--device", device, "--batch", str(batch)] + (["--double"] if double else [])
        # Ours alone gets this libtorch: PyTorch brings one of its own.
        env = os.environ | ({"LD_LIBRARY_PATH": os.path.join(os.environ["LIBTORCH"], "lib")} if "LIBTORCH" in os.environ else {})
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, text=True, env=env, **pipes)
        if self.process.stdout.readline().strip() != "ready":
            sys.exit("the program under test ended early")

    def step_ms(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def finish(self):
        self.process.stdin.close()
        self.process.wait()


def differences(peer, after):
    """Of every player: the largest differences of weights and of first moments, the latter relative to the largest."""
    tensors, _ = load(after)
    out = {}
    for name, player in peer.players.items():
        ours, moments = part(tensors, name), part(tensors, name + "_first")
        weights = max((ours[k] - w.detach()).abs().max().item() for k, w in player.weights.items())
        theirs = {k: player.adam.state[w]["exp_avg"] for k, w in player.weights.items()}
        scale = max(m.abs().max().item() for m in theirs.values())
        moment = max((moments[k] - m).abs().max().item() for k, m in theirs.items()) / scale
        out[name] = {"weights": weights, "moments": moment}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10, help="measured steps of each (10)")
    parser.add_argument("--side", type=int, default=256, help="of the pictures (256)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="of both, where time is measured (cpu)")
    parser.add_argument("--batch", type=int, default=1, help="pairs a step, where time is measured (1)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/peers"))
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not PROGRAM.is_file():
        sys.exit(f"{PROGRAM} is missing: build it as this file's beginning says, and run from the repository root")
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)

    ours = Ours(args.out, args.side, args.threads, double=True)
    peer = Peer(ours.before)
    peer.step()
    result = {"differences": differences(peer, ours.after)}
    ours.finish()

    ours = Ours(args.out, args.side, args.threads, device=args.device, batch=args.batch)
    peer = Peer(ours.before, args.device)
    wait = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    times = {"ours": [], "torch": []}
    peer.step()
    for _ in range(args.rounds):
        times["ours"].append(ours.step_ms())
        wait()
        start = time.perf_counter()
        peer.step()
        wait()
        times["torch"].append((time.perf_counter() - start) * 1e3)
    ours.finish()
    median = {name: statistics.median(ms) for name, ms in times.items()}
    result |= {"threads": args.threads, "median_ms": median, "ratio": median["ours"] / median["torch"]}
    if args.json:
        print(json.dumps(result))
        return
    for name, d in result["differences"].items():
        print(f"{name:14s} largest difference after one step: weights {d['weights']:.1e}, first moments {d['moments']:.1e} of the largest")
    print(f"step: ours {median['ours']:.0f} ms, PyTorch eager {median['torch']:.0f} ms, ratio {result['ratio']:.2f} ({args.device}, {args.batch} pair(s), {args.threads} threads)")


if __name__ == "__main__":
    main()

"""Deep Speech 2: log probabilities of random networks, ours beside PyTorch's own layers, from the sound on.

    pip install torch==2.11.0 numpy
    cargo build --release
    python benches/peers/deepspeech2.py

Each network is saved as a checkpoint of deepspeech.pytorch (state_dict, labels, audio_conf, rnn_type), imported by the program and run on a
sound that the program reads; the spectrogram here is torch.stft's. Prints the largest differences, and exits with 1 above 1e-4.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import numpy as np
import torch
from torch import nn

import speechlike
from speechlike import RATE

PROGRAM = pathlib.Path("target/release/headgan" + (".exe" if sys.platform == "win32" else ""))
LABELS = "_'ABCDEFGHIJKLMNOPQRSTUVWXYZ "
CELLS = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}
BAR = 1e-4


class EachMoment(nn.Module):
    """A layer over vectors, over [moments, batch, values]."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return self.module(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Recurrent(nn.Module):
    def __init__(self, cell, inputs, hidden, both, normal):
        super().__init__()
        if normal:
            self.batch_norm = EachMoment(nn.BatchNorm1d(inputs))
        self.rnn = CELLS[cell](inputs, hidden, bidirectional=both)
        self.normal, self.hidden = normal, hidden

    def forward(self, x):
        y = self.rnn(self.batch_norm(x) if self.normal else x)[0]
        return y if y.shape[2] == self.hidden else y[..., : self.hidden] + y[..., self.hidden :]


class Ahead(nn.Module):
    """Each channel's weighted sum over the moments from this one on."""

    def __init__(self, channels, context):
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, context, groups=channels, bias=False)

    def forward(self, x):
        x = nn.functional.pad(x.permute(1, 2, 0), (0, self.conv.kernel_size[0] - 1))
        return self.conv(x).permute(2, 0, 1)


class DeepSpeech2(nn.Module):
    """The architecture under the checkpoint's names."""

    def __init__(self, cell, hidden, layers, context):
        super().__init__()
        stack = [nn.Conv2d(1, 32, (41, 11), (2, 2), (20, 5)), nn.BatchNorm2d(32), nn.Hardtanh(0, 20)]
        stack += [nn.Conv2d(32, 32, (21, 11), (2, 1), (10, 5)), nn.BatchNorm2d(32), nn.Hardtanh(0, 20)]
        self.conv = nn.ModuleDict({"seq_module": nn.Sequential(*stack)})
        sizes = [32 * 41] + [hidden] * (layers - 1)
        self.rnns = nn.Sequential(*(Recurrent(cell, n, hidden, context == 0, i > 0) for i, n in enumerate(sizes)))
        if context:
            self.lookahead = nn.Sequential(Ahead(hidden, context), nn.Hardtanh(0, 20))
        last = nn.Sequential(nn.BatchNorm1d(hidden), nn.Linear(hidden, len(LABELS), bias=False))
        self.fc = nn.Sequential(EachMoment(last))
        self.context = context

    def forward(self, spectrogram):
        x = self.conv["seq_module"](spectrogram[None, None]).flatten(1, 2).permute(2, 0, 1)
        x = self.rnns(x)
        x = self.lookahead(x) if self.context else x
        return self.fc(x)[:, 0].log_softmax(1)


def randomise(model, seed):
    """Seeded weights that keep values' size from layer to layer, batch norms that are not the identity."""
    generator = torch.Generator().manual_seed(seed)
    for name, x in model.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        values = torch.rand(x.shape, generator=generator) * 2 - 1
        if name.endswith("running_var") or (x.dim() == 1 and name.endswith(".weight")):
            values = 1 + values / 2
        elif x.dim() == 1:
            values = values * 0.2
        else:
            values = values * (3 / x[0].numel()) ** 0.5
        x.copy_(values)


def spectrogram(samples):
    x = torch.from_numpy(samples.astype(np.float32) / 32767)
    window = torch.hamming_window(320, periodic=False)
    x = torch.stft(x, 320, 160, window=window, center=True, pad_mode="reflect", return_complex=True).abs().log1p()
    return (x - x.mean()) / x.std()


def ours(file, wav, out, threads):
    """Log probabilities by the program, and how long it took with all it loads."""
    env = os.environ | {"HEADGAN_MODELS": str(out)}
    run = lambda *args: subprocess.run([PROGRAM, *map(str, args)], env=env, check=True, capture_output=True)
    run("models", "import", "deepspeech2", "--from", file, "--to", out, "--name", file.stem)
    start = time.perf_counter()
    run("transcribe", wav, "--pack", file.stem, "--emissions", out / f"{file.stem}.npy", "--decoder", "greedy", "--threads", threads)
    return np.load(out / f"{file.stem}.npy"), time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=160, help="values of a recurrent layer's state (160)")
    parser.add_argument("--layers", type=int, default=5, help="recurrent layers (5)")
    parser.add_argument("--context", type=int, default=20, help="moments of the look-ahead (20)")
    parser.add_argument("--seconds", type=float, default=6.0, help="of sound (6)")
    parser.add_argument("--threads", type=int, default=1, help="of both (1)")
    parser.add_argument("--cells", nargs="+", choices=list(CELLS), default=list(CELLS), help="of the recurrent layers (all)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/peers/deepspeech2"), help="folder of the files made")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    args = parser.parse_args()
    if not PROGRAM.is_file():
        sys.exit(f"{PROGRAM} is missing: run this from the repository root after `cargo build --release`")
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    wav = args.out / "sound.wav"
    samples = speechlike.write(wav, args.seconds, pauses=False)
    results = []
    for seed, (cell, context) in enumerate((c, k) for c in args.cells for k in (0, args.context)):
        model = DeepSpeech2(cell, args.hidden, args.layers, context).eval()
        randomise(model, seed)
        file = args.out / f"{cell}-{'one' if context else 'both'}.pth"
        audio = {"sample_rate": RATE, "window_size": 0.02, "window_stride": 0.01, "window": "hamming"}
        package = {"rnn_type": cell, "labels": LABELS, "audio_conf": audio, "hidden_size": args.hidden, "hidden_layers": args.layers}
        torch.save(package | {"bidirectional": context == 0, "state_dict": model.state_dict()}, file)
        got, seconds = ours(file, wav, args.out, args.threads)
        start = time.perf_counter()
        expected = model(spectrogram(samples)).numpy()
        theirs = time.perf_counter() - start
        if got.shape != expected.shape:
            sys.exit(f"{file.stem}: ours are {got.shape}, PyTorch's {expected.shape}")
        results.append({"network": file.stem, "moments": len(got), "difference": float(np.abs(got - expected).max()),
                        "spread": float(expected.max(0).mean() - expected.min(0).mean()), "ours_s": seconds, "torch_s": theirs})
    if args.json:
        print(json.dumps(results))
    else:
        print(f"Deep Speech 2, {args.layers} layers of {args.hidden}, {args.seconds:g} s, {args.threads} thread(s), PyTorch {torch.__version__}")
        for r in results:
            print(f"  {r['network']:10s} {r['moments']} moments, largest difference {r['difference']:.1e} (labels spread over {r['spread']:.1f}); "
                  f"ours {r['ours_s']:.2f} s with loading, PyTorch {r['torch_s']:.2f} s without")
    sys.exit(any(not r["difference"] <= BAR for r in results))


if __name__ == "__main__":
    main()

"""Sound that is something like speech, for scripts that need no recording."""

import wave

import numpy as np

RATE = 16000


def write(path, seconds, pauses):
    """A buzz of changing pitch and loudness, and hiss; with `pauses` the voice is away for seconds. Returns the samples, 16 bits, mono, [RATE]."""
    t = np.arange(int(seconds * RATE)) / RATE
    pitch = np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.4 * t)) / RATE
    loud = np.clip(np.sin(2 * np.pi * 1.7 * t), 0, None)
    if pauses:
        loud = loud * (np.sin(2 * np.pi * 0.11 * t) > -0.7)
    buzz = sum(np.sin(2 * np.pi * k * pitch) / k for k in range(1, 30))
    hiss = np.random.default_rng(1).normal(0, 0.05, t.size)
    samples = np.round(6000 * (loud * buzz + hiss * (0.2 + loud))).clip(-32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE, samples.size, "NONE", "NONE"))
        out.writeframes(samples.tobytes())
    return samples

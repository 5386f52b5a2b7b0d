"""The HeadGAN generator in PyTorch, eager, as src/nets/generator.rs defines it. Layer names are the checkpoint's."""

import torch
import torch.nn.functional as F


def fold(state):
    """`weight_orig`, `weight_u`, `weight_v` of spectral normalisation become `weight`."""
    out = {}
    for name, value in state.items():
        layer, part = name.rsplit(".", 1)
        if part == "weight_orig":
            u, v = state[layer + ".weight_u"], state[layer + ".weight_v"]
            out[layer + ".weight"] = value / torch.dot(u, value.flatten(1) @ v)
        elif part not in ("weight_u", "weight_v"):
            out[name] = value
    return out


def warp(image, flow):
    """Bilinear at (x + flow_x, y + flow_y), coordinates clamped to the border."""
    n, _, h, w = image.shape
    rows, columns = (torch.arange(size, dtype=flow.dtype, device=flow.device) for size in (h, w))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    x = (x + flow[:, 0]) * (2 / (w - 1)) - 1
    y = (y + flow[:, 1]) * (2 / (h - 1)) - 1
    grid = torch.stack([x, y], dim=-1)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


class Generator:
    def __init__(self, state, levels=2, prior=False, compose=False):
        self.w = state
        self.levels = levels
        self.prior, self.compose = prior, compose
        self.sound = "rendering_network.cond_dec_audio.0.norm1.fc.weight" in state

    def conv(self, x, name, stride=1, reflect=False):
        weight = self.w[name + ".weight"]
        pad = weight.shape[-1] // 2
        if reflect:
            x, pad = F.pad(x, (pad,) * 4, mode="reflect"), 0
        return F.conv2d(x, weight, self.w.get(name + ".bias"), stride, pad)

    def encoder(self, x, name):
        features = []
        for level in range(self.levels + 1):
            layer = f"{name}.0.1" if level == 0 else f"{name}.{level}.0"
            x = self.conv(x, layer + ".0", stride=2 if level else 1, reflect=level == 0)
            x = F.relu(F.instance_norm(x, weight=self.w[layer + ".1.weight"], bias=self.w[layer + ".1.bias"]))
            features.append(x)
        return features

    def spade(self, x, cond, name):
        cond = cond if cond.shape[2:] == x.shape[2:] else F.interpolate(cond, size=x.shape[2:], mode="nearest")
        hidden = F.relu(self.conv(cond, name + ".mlp_shared.0"))
        gamma, beta = self.conv(hidden, name + ".mlp_gamma"), self.conv(hidden, name + ".mlp_beta")
        return F.instance_norm(x) * (1 + gamma) + beta

    def spade_block(self, x, cond, name):
        y = x
        for i in range(2):
            y = self.conv(F.leaky_relu(self.spade(y, cond, f"{name}.norm_{i}"), 0.2), f"{name}.conv_{i}")
        return x + y

    def adain_block(self, x, audio, name):
        for i in (1, 2):
            fc = f"{name}.norm{i}.fc"
            gamma, beta = F.linear(audio, self.w[fc + ".weight"], self.w[fc + ".bias"])[:, :, None, None].chunk(2, 1)
            x = self.conv(F.leaky_relu(F.instance_norm(x) * (1 + gamma) + beta, 0.2), f"{name}.conv{i}")
        return x

    def flow_network(self, features, pncc, prior):
        x = features[self.levels]
        if self.prior:
            deep = prior
            for _ in range(self.levels):
                deep = F.avg_pool2d(deep, 2) / 2
            x = warp(x, deep)
        for i in range(2):
            x = self.spade_block(x, pncc, f"flow_network.dec_res.{i}")
        for i in range(self.levels):
            x = F.pixel_shuffle(self.spade_block(x, pncc, f"flow_network.dec_main.{i}"), 2)
        flow = self.conv(x, "flow_network.dec_flow.1", reflect=True)
        mask = (torch.tanh(self.conv(x, "flow_network.dec_mask.1", reflect=True)) + 1) / 2
        return prior + flow * mask if self.prior else flow * mask, mask

    @torch.inference_mode()
    def __call__(self, reference, pncc, audio=None, prior=None):
        return self.forward(reference, pncc, audio, prior)

    def forward(self, reference, pncc, audio=None, prior=None):
        """`reference` [n, 6, h, w], `pncc` [n, 9, h, w], `audio` [n, 300], `prior` [n, 2, h, w]; outputs by name."""
        features = self.encoder(reference, "flow_network.enc")
        flow, mask = self.flow_network(features, pncc, prior)
        level_flow, warped_features = flow, []
        for level, feature in enumerate(features):
            if level > 0:
                level_flow = F.avg_pool2d(level_flow, 2) / 2
            warped_features.append(warp(feature, level_flow))
        warped = warp(reference[:, 3:], flow)
        name = "rendering_network."
        x = self.encoder(pncc, name + "cond_enc")[-1]
        for i in range(self.levels + 1):
            x = self.spade_block(x, warped_features[self.levels - i], f"{name}cond_dec.{i}")
            if self.sound:
                x = self.adain_block(x, audio, f"{name}cond_dec_audio.{i}")
            if i < self.levels:
                x = F.pixel_shuffle(x, 2)
        x = self.spade_block(x, warped, f"{name}cond_dec.{self.levels + 1}")
        x = self.conv(F.leaky_relu(x, 0.2), name + "conv_img.1", reflect=True)
        painted = torch.tanh(x)
        image = warped + painted if self.compose else painted
        return {"image": image, "flow": flow, "mask": mask, "warped": warped}

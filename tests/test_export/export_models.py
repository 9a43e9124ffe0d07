"""Tiny models of the three modes, and their exports, for tests."""

from pathlib import Path

import cv2
import numpy as np
import torch

from tests.tiny_models import write_checkpoint, write_config

MODES = {
    "pose": {},
    "detection": {"skeleton": None, "num_classes": 3, "centered": False},
    "joint": {"num_classes": 3, "keypoint_classes": (1,)},
}


def write_model(folder: Path, mode: str = "pose", *, calm: bool = False, **changes) -> tuple[Path, Path]:
    """Config and checkpoint of a tiny model whose random weights find much.

    ``calm`` weights of the outputs are a tenth as large: random features amplify the rounding of float16 to pixels.
    """
    config = write_config(folder, **{**MODES[mode], "name": f"{mode}.py", **changes})
    checkpoint = write_checkpoint(config, folder / f"{mode}.pth")
    if calm:
        content = torch.load(checkpoint, weights_only=True)
        for key, values in content["state_dict"].items():
            if ".out_" in key and key.endswith(".weight"):
                values *= 0.1
        torch.save(content, checkpoint)
    return config, checkpoint


def pictures(count: int = 4) -> list[np.ndarray]:
    """Smooth pictures of several sizes, odd ones among them."""
    rng = np.random.default_rng(0)
    sizes = [(120, 90), (77, 211), (333, 101), (96, 96)]
    return [
        cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), sizes[i % 4], interpolation=cv2.INTER_CUBIC)
        for i in range(count)
    ]

"""Small synthetic crowds, made once a test session, for tests that train or evaluate."""

import contextlib
import io
from pathlib import Path

from yolox_pose.synthetic.dataset import synthesize_crowd
from yolox_pose.synthetic.options import CrowdOptions

OVERRIDES = (
    "{split}_dataloader.dataset.data_root={data}",
    "{split}_dataloader.dataset.ann_file=annotations/{name}.json",
    "{split}_dataloader.dataset.data_prefix.img={name}",
)


def make_crowd(folder: Path, *, train: int = 12, val: int = 6, size: tuple[int, int] = (96, 96), seed: int = 0) -> Path:
    """Write a crowd data set and return its folder."""
    with contextlib.redirect_stdout(io.StringIO()):
        synthesize_crowd(folder, CrowdOptions(size=size), train=train, val=val, seed=seed)
    return folder


def data_options(data: Path) -> list[str]:
    """``KEY=VALUE`` options that point a config of the package to such a folder."""
    options = [
        text.format(split=split, data=data, name="train" if split == "train" else "val")
        for split in ("train", "val", "test")
        for text in OVERRIDES
    ]
    return [*options, *(f"{split}_evaluator.ann_file={data / 'annotations' / 'val.json'}" for split in ("val", "test"))]

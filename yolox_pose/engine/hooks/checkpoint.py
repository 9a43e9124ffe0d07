"""Hook that writes checkpoints atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook

from yolox_pose.checkpoints.files import write_atomically
from yolox_pose.registry import HOOKS


class AtomicLocalBackend(LocalBackend):
    """Local files written under a temporary name and renamed, so that a kill leaves the previous file intact."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes; the old file is replaced after the new one is on the disk."""
        target = Path(filepath)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text (``last_checkpoint``)."""
        self.put(obj.encode(encoding), filepath)


register_backend("yolox_pose_atomic", AtomicLocalBackend, force=True)


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's checkpoint hook over :class:`AtomicLocalBackend`; it takes the arguments of ``CheckpointHook``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("backend_args", {"backend": "yolox_pose_atomic"})
        super().__init__(*args, **kwargs)

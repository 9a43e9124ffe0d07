"""Sampler whose order depends only on (seed, epoch), not on workers, processes or resumes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sized
from typing import NamedTuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from yolox_pose.registry import DATA_SAMPLERS
from yolox_pose.structures.phase import TrainingPhase


class SampleKey(NamedTuple):
    """Key of a sample: the image, and the epoch that seeds its augmentation."""

    epoch: int
    index: int  # type: ignore[assignment]  # hides tuple.index


@DATA_SAMPLERS.register_module()
class EpochSampler(Sampler):
    """Sampler that yields :class:`SampleKey` in an order drawn from (seed, epoch), its share in each process.

    Rank r gets positions r, r + world size, and so on, so the images of one step are the same for any number of processes
    with the same total batch size.

    Args:
        dataset: The data set.
        shuffle: Whether the order is random.
        seed: Non-negative seed; None draws a seed, equal in all processes. MMEngine's runner passes its own.
        round_up: Whether all processes get the same number of samples; the first samples repeat to fill the last round.
            False yields each image exactly once, as validation needs.

    Attributes:
        phase: Training phase with the seed; its owner is the training-phase hook.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None, round_up: bool = True) -> None:
        self.rank, self.world_size = get_dist_info()
        self.dataset = dataset
        self.shuffle = shuffle
        self.phase = TrainingPhase(sync_random_seed() if seed is None else seed)
        self.round_up = round_up
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration; MMEngine's ``DistSamplerSeedHook`` calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of samples of this process."""
        total = len(self.dataset)
        return math.ceil((total if self.round_up else max(total - self.rank, 0)) / self.world_size)

    def __iter__(self) -> Iterator[SampleKey]:
        """Yield the keys of this process, all with the epoch at the start of the iteration."""
        total, epoch = len(self.dataset), self.epoch
        order = np.random.default_rng((self.phase.seed, epoch)).permutation(total) if self.shuffle else np.arange(total)
        for position in range(len(self)):
            yield SampleKey(epoch, int(order[(position * self.world_size + self.rank) % total]))

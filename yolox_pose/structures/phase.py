"""The phase of a training: the one owner of its seed and of the switch to the last epochs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class TrainingPhase:
    """Seed, epoch and last phase of a training.

    The training hook makes one object from the config and gives it to the data set, the sampler, the data preprocessor
    and the head, which ask it. Worker processes hold copies, whose ``epoch`` stays that of their start: ask
    :meth:`is_last` there with the epoch of the sample.

    Attributes:
        seed: Seed of sampling, augmentation and batch sizes.
        final_epoch: First epoch of the last phase, counted from 0; None for a training without one.
        full_size_last: Whether batches of the last phase keep the size of the pipeline.
        epoch: Current epoch, counted from 0.
    """

    seed: int = 0
    final_epoch: int | None = None
    full_size_last: bool = False
    epoch: int = 0

    def is_last(self, epoch: int) -> bool:
        """Return whether an epoch belongs to the last phase."""
        return self.final_epoch is not None and epoch >= self.final_epoch

    @property
    def use_l1(self) -> bool:
        """Whether the current epoch adds the L1 box loss."""
        return self.is_last(self.epoch)

    @property
    def full_size(self) -> bool:
        """Whether batches of the current epoch keep the size of the pipeline."""
        return self.full_size_last and self.is_last(self.epoch)

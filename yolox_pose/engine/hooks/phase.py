"""Hook that creates the training phase and keeps its epoch current."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from yolox_pose.engine.run import model_of
from yolox_pose.registry import HOOKS
from yolox_pose.structures.phase import TrainingPhase


@HOOKS.register_module()
class TrainingPhaseHook(Hook):
    """Create the :class:`TrainingPhase` of a run and give it to data set, sampler, data preprocessor and head.

    In the last phase images go through ``final_pipeline`` (no mosaic, no mixup) and the L1 box loss is on. The phase
    depends on the epoch alone, so it is right after a resume in any epoch and with persistent workers.

    Args:
        num_last_epochs: Epochs of the last phase; 0 for none.
        full_size_last: Whether batches of the last phase keep the size of the pipeline, while earlier batches are resized
            at random (``random_size`` of the data preprocessor). Small batches train faster; the last epochs then see the
            size of inference.
    """

    priority = 48  # before the EMA hook (49), which MMEngine's own configs place there

    def __init__(self, num_last_epochs: int = 20, full_size_last: bool = False) -> None:
        self.num_last_epochs, self.full_size_last = num_last_epochs, full_size_last
        self.phase = TrainingPhase()
        self.announced = False

    def before_train(self, runner: Runner) -> None:
        """Create the phase and hand it over before workers start."""
        first = max(runner.max_epochs - self.num_last_epochs, 0) if self.num_last_epochs else None
        self.phase = TrainingPhase(runner.seed, first, self.full_size_last, runner.epoch)
        loader, model = runner.train_dataloader, model_of(runner)
        for part in (loader.dataset, loader.sampler, model.data_preprocessor, model.head):
            part.phase = self.phase

    def before_train_epoch(self, runner: Runner) -> None:
        """Set the current epoch and log the switch to the last phase."""
        self.phase.epoch = runner.epoch
        if self.phase.use_l1 and not self.announced:
            runner.logger.info(f"Epoch {runner.epoch + 1}: last phase, plain augmentation and L1 box loss")
            self.announced = True

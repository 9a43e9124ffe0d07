"""Tells data set, sampler, preprocessor and head which phase of the training they are in."""

from __future__ import annotations

from mmengine.hooks import Hook
from mmengine.runner import Runner

from yolox_pose.engine.run import model_of
from yolox_pose.registry import HOOKS


@HOOKS.register_module()
class TrainingPhaseHook(Hook):
    """Last epochs without mosaic and mixup and with the L1 box loss; one seed for everything that draws numbers.

    The phase is a function of the epoch alone: the data set chooses its pipeline by the epoch of each sample and the head
    is set before every epoch. So it also holds after a resume, in any epoch, and with persistent workers.

    Args:
        num_last_epochs: Length of the last phase in epochs; 0 keeps the first phase to the end.
        full_size_last: Whether batches of the last phase keep the pipeline's size, where those before are resized at
            random (``random_size`` of the data preprocessor): smaller batches first, which are quicker, the size that the
            model is used at in the end.
    """

    def __init__(self, num_last_epochs: int = 20, full_size_last: bool = False) -> None:
        self.num_last_epochs, self.full_size_last = num_last_epochs, full_size_last

    def before_train(self, runner: Runner) -> None:
        """Set the seed and the first epoch of the last phase, before workers are started."""
        loader = runner.train_dataloader
        self.final_epoch = max(runner.max_epochs - self.num_last_epochs, 0)
        loader.dataset.final_epoch = self.final_epoch if self.num_last_epochs else None
        loader.dataset.seed = loader.sampler.seed = runner.seed
        model_of(runner).data_preprocessor.seed = runner.seed

    def before_train_epoch(self, runner: Runner) -> None:
        """Switch the L1 loss on in the last phase."""
        head = model_of(runner).head
        late = self.num_last_epochs > 0 and runner.epoch >= self.final_epoch
        if late and not head.late:
            runner.logger.info(f"Epoch {runner.epoch + 1}: last phase, plain augmentation and L1 box loss")
        head.late = late
        if late and self.full_size_last:
            model_of(runner).data_preprocessor.random_size = None

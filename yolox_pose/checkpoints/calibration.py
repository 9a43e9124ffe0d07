"""Measure batch-norm statistics on images, for weights that have none or whose statistics do not belong to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from yolox_pose.errors import DataError
from yolox_pose.geometry.letterbox import Preprocessing, fit_image
from yolox_pose.io.sources import Source
from yolox_pose.utils.progress import track
from yolox_pose.utils.text import counted

logger = logging.getLogger(__name__)

Measurement = Callable[[nn.Module, Iterable[Tensor]], int]
"""Measures the batch norms of a network on (B, 3, H, W) inputs and returns the number of images."""


@torch.no_grad()
def calibrate_norms(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Measure mean and variance of the inputs of each batch norm, and set its weight and bias so that outputs stay.

    In evaluation a batch norm computes ``(x - mean) / sqrt(var + eps) * weight + bias``, a scale and a shift of each channel.
    Both stay the same. In training, batches of similar images are then normalized to the same values, so that training can
    continue from these weights.

    Args:
        model: Model in evaluation mode; its batch norms are changed.
        batches: Inputs of the network, each of shape (B, 3, H, W).

    Returns:
        Number of images.

    Raises:
        ValueError: If there are no images.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def collect(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0].double()
        count = torch.full_like(x[0, :, 0, 0], x.numel() / x.shape[1])
        sums[norm] += torch.stack([count, x.sum((0, 2, 3)), x.square().sum((0, 2, 3))]).cpu()  # type: ignore[index]

    # Sum values and squares over all images
    hooks = [norm.register_forward_pre_hook(collect) for norm in norms]
    images = 0
    try:
        for batch in batches:
            model(batch)
            images += len(batch)
    finally:
        for hook in hooks:
            hook.remove()
    if not images:
        raise ValueError("no images to measure on")

    # Set the statistics of each norm that was reached
    for norm in norms:
        count, total, squares = sums[norm]
        if count.all():
            _set_statistics(norm, total / count, (squares / count - (total / count).square()).clamp(min=0))
    return images


def _set_statistics(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Replace the statistics of a norm and keep its scale and shift of each channel."""
    if norm.running_mean is None or norm.running_var is None:
        return
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - norm.running_mean.double() * scale
    norm.running_mean.copy_(mean.to(scale.device))
    norm.running_var.copy_(variance.to(scale.device))
    norm.weight.copy_(scale * (norm.running_var.double() + norm.eps).sqrt())
    norm.bias.copy_(shift + norm.running_mean.double() * scale)


def measure_norms(model: nn.Module, batches: Iterable[Tensor]) -> int:
    """Measure mean and variance of the inputs of each batch norm, as training on these batches does.

    Averaged or interpolated weights need this: their statistics are not the average of the models' statistics (Izmailov et
    al., Averaging Weights Leads to Wider Optima, UAI 2018, section 3.2). Each batch has the same weight.

    Args:
        model: Model whose norms are changed. All its layers are in evaluation mode afterwards.
        batches: Inputs of the network, each of shape (B, 3, H, W).

    Returns:
        Number of images.

    Raises:
        ValueError: If there are no images.
    """
    images = 0

    def counted() -> Iterator[Tensor]:
        nonlocal images
        for batch in batches:
            images += len(batch)
            yield batch

    update_bn(counted(), _Unfrozen(model))
    if not images:
        raise ValueError("no images to measure on")
    return images


class _Unfrozen(nn.Module):
    """Model in evaluation mode whose layers all switch to training mode, frozen ones included."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.eval()

    def forward(self, inputs: Tensor) -> Any:
        """Return the model's output."""
        return self.model(inputs)

    def train(self, mode: bool = True) -> _Unfrozen:
        """Switch the mode of all layers without calling their own ``train``."""
        for module in self.modules():
            module.training = mode
        return self


def calibrate_on_images(
    measure: Measurement, model: Any, sources: Sequence[Source], preprocessing: Preprocessing, batch_size: int = 1
) -> int:
    """Measure the batch norms of an estimator on image files. Unreadable images are skipped with a warning.

    Args:
        measure: :func:`calibrate_norms` or :func:`measure_norms`.
        model: A :class:`yolox_pose.models.YOLOXPoseEstimator`.
        sources: Images.
        preprocessing: Size and padding of the input.
        batch_size: Images in a batch.

    Returns:
        Number of images.

    Raises:
        DataError: If no image can be read.
    """
    canvases = _canvases(sources, preprocessing)
    batches = iter(lambda: list(islice(canvases, batch_size)), [])
    inputs = (model.data_preprocessor({"inputs": batch})["inputs"] for batch in batches)
    try:
        return measure(_Network(model), inputs)
    except ValueError:
        raise DataError(f"none of the {counted(len(sources), 'images')} to calibrate on could be read") from None


def _canvases(sources: Sequence[Source], preprocessing: Preprocessing) -> Iterator[Tensor]:
    """Yield the letterboxed images, (3, H, W) uint8."""
    for source in track(sources, "calibrate"):
        try:
            image = source.read()
        except DataError as error:
            logger.warning("skipped: %s", error)
            continue
        canvas = fit_image(image, preprocessing).canvas
        yield torch.from_numpy(np.ascontiguousarray(canvas.transpose(2, 0, 1)))


class _Network(nn.Module):
    """Backbone, neck and head of an estimator, from inputs to raw outputs."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Any:
        """Return the raw outputs of (B, 3, H, W) inputs."""
        return self.model.head(self.model.extract_feat(inputs))

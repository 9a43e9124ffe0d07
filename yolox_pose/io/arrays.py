"""Images in memory: numpy arrays, torch tensors and PIL images, and their batches.

Shape letters: N images, C channels, H and W in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from yolox_pose.errors import DataError
from yolox_pose.geometry.images import check_image_array, to_bgr


def to_image(array: Any) -> np.ndarray:
    """Convert an image in memory to BGR.

    Args:
        array: Numpy array, torch tensor or PIL image, from :func:`split_array` or :func:`split_tensor`.

    Returns:
        Image of shape (H, W, 3), uint8 BGR.
    """
    if is_pil(array):
        return _pil_to_bgr(array)
    return _tensor_to_bgr(array) if is_tensor(array) else to_bgr(array)


def split_array(array: np.ndarray) -> Sequence[np.ndarray]:
    """Check an array and split a batch (N, H, W, C) into its images.

    Raises:
        DataError: If the shape, type or range is not supported.
    """
    images = list(array) if array.ndim == 4 else [array]
    if array.ndim == 4 and array.shape[-1] not in (1, 3, 4):
        hint = "; put channels last: array.transpose(0, 2, 3, 1)" if array.shape[1] in (1, 3, 4) else ""
        raise DataError(f"a batch of image arrays must be (N, H, W, C) BGR, not {array.shape} {array.dtype}{hint}")
    for image in images:
        check_image_array(image)
    return images


def split_tensor(tensor: Any) -> Sequence[Any]:
    """Check a torch tensor and split a batch into its images.

    Args:
        tensor: RGB image of shape (C, H, W) or gray image (H, W), or batch (N, C, H, W), with C of 1, 3 or 4 (alpha last);
            uint8 or floats from 0 to 1, as torchvision reads images.

    Raises:
        DataError: If the shape, type or range is another one.
    """
    # Check the shape
    shape = tuple(tensor.shape)
    if tensor.ndim not in (2, 3, 4) or (tensor.ndim > 2 and shape[-3] not in (1, 3, 4)) or 0 in shape[-3:]:
        last = (2, 0, 1) if tensor.ndim == 3 else (0, 3, 1, 2)
        hint = f"; put channels first: tensor.permute{last}" if tensor.ndim in (3, 4) and shape[-1] in (1, 3, 4) else ""
        raise DataError(f"an image tensor must be (C, H, W) or (N, C, H, W) in RGB, not {shape} {tensor.dtype}{hint}")

    # Check the type and the range
    if tensor.is_floating_point():
        values = tensor.detach()
        low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 1.0)
        if not (low >= 0 and high <= 1):
            hint = "divide by 255" if low >= 0 and high <= 255 else "undo the normalization"
            raise DataError(f"an image tensor of floats must hold 0 to 1, not {low:g} to {high:g}; {hint}")
    elif str(tensor.dtype) != "torch.uint8":
        raise DataError(
            f"an image tensor must be uint8 or floats from 0 to 1, not {tensor.dtype}; use .to(torch.uint8)"
        )
    return list(tensor) if tensor.ndim == 4 else [tensor]


def is_tensor(item: Any) -> bool:
    """Recognize a torch tensor without importing torch, which is optional."""
    return any(cls.__module__.split(".")[0] == "torch" and cls.__name__ == "Tensor" for cls in type(item).__mro__)


def is_pil(item: Any) -> bool:
    """Recognize a PIL image without importing PIL, which is optional."""
    return any(cls.__module__.startswith("PIL.") and cls.__name__ == "Image" for cls in type(item).__mro__)


def _tensor_to_bgr(tensor: Any) -> np.ndarray:
    """Convert a checked tensor to BGR (H, W, 3), uint8."""
    tensor = tensor.detach().cpu()
    array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    if array.ndim == 3:
        array = array.transpose(1, 2, 0)
        array = array[..., [2, 1, 0]] if array.shape[2] >= 3 else array
    return to_bgr(np.ascontiguousarray(array))


def _pil_to_bgr(image: Any) -> np.ndarray:
    """Convert a PIL image to BGR, upright by its EXIF orientation."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        return to_bgr(np.asarray(image, dtype=np.uint16))
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[..., ::-1])

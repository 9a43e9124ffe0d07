"""Parameter groups: few of them, without weight decay on norms and biases, with a rate of its own for the pose branch."""

from __future__ import annotations

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from yolox_pose.registry import OPTIM_WRAPPER_CONSTRUCTORS

POSE_LAYERS = ("conv_pose.", "out_kpt.", "out_kpt_vis.")
"""Parts of the names of the keypoint branch's parameters."""


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class YOLOXPoseOptimConstructor(DefaultOptimWrapperConstructor):
    """Parameters with equal settings share a group, which lets torch update them together.

    ``paramwise_cfg`` takes ``norm_decay_mult``, ``bias_decay_mult`` (factors of the weight decay of normalisation layers
    and of biases, 1 by default) and ``pose_lr_mult`` (factor of the rate of the keypoint branch, 1 by default: a new
    branch on a trained detector learns faster with more).

    Raises:
        ValueError: If ``paramwise_cfg`` has another key.
    """

    KEYS = ("norm_decay_mult", "bias_decay_mult", "pose_lr_mult")

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = "", **kwargs) -> None:
        """Collect the parameters of ``module`` into ``params``, one group for each pair of rate and decay."""
        unknown = sorted(set(self.paramwise_cfg) - set(self.KEYS))
        if unknown:
            raise ValueError(f"paramwise_cfg: unknown keys {unknown}; known: {', '.join(self.KEYS)}")
        norm_decay, bias_decay, pose_rate = (self.paramwise_cfg.get(key, 1.0) for key in self.KEYS)
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for layer_name, layer in module.named_modules():
            is_norm = isinstance(layer, nn.modules.batchnorm._BatchNorm | nn.GroupNorm | nn.LayerNorm)
            for name, parameter in layer.named_parameters(recurse=False):
                if not parameter.requires_grad:
                    continue
                decay = norm_decay if is_norm else bias_decay if name == "bias" else 1.0
                rate = pose_rate if any(part in f"{layer_name}." for part in POSE_LAYERS) else 1.0
                groups.setdefault((rate, decay), []).append(parameter)
        for (rate, decay), parameters in groups.items():
            group = {"params": parameters, "lr": self.base_lr * rate}
            if self.base_wd is not None:
                group["weight_decay"] = self.base_wd * decay
            params.append(group)

"""Hook that loads the weights that a training starts from, in any known layout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from yolox_pose.checkpoints.files import SAFETENSORS, parse_checkpoint, read_content
from yolox_pose.checkpoints.matching import COUNTER, WeightMatch, check_start, log_match, match_weights, part_of
from yolox_pose.checkpoints.preprocessing import adopt_normalization, stored_preprocessing
from yolox_pose.engine.run import classes_of, model_of
from yolox_pose.errors import UsageError
from yolox_pose.registry import HOOKS


def _load_safetensors(filename: str, map_location: Any = None) -> Any:
    return read_content(filename)


CheckpointLoader.register_scheme(rf".*\{SAFETENSORS}$", loader=_load_safetensors, force=True)


@HOOKS.register_module()
class StartWeightsHook(Hook):
    """Match the weights that a training starts from with the model.

    The data preprocessor adopts channel order and normalization of the weights, and the checkpoints of the run store them.
    The padding side stays that of the training.

    Args:
        only: ``'backbone'`` loads only the backbone; None loads all weights that the model has.

    Raises:
        DataError: If the weights have no known layout or do not match the model (:func:`yolox_pose.checkpoints.matching.check_start`).
    """

    priority = "HIGHEST"  # before the hook of the EMA model, which loads the same weights

    def __init__(self, only: str | None = None) -> None:
        if only not in (None, "backbone"):
            raise UsageError(f"StartWeightsHook: only must be 'backbone' or None, not {only!r}")
        self.only = only

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Replace the content of the file with the weights of the model, in place."""
        if runner._resume:
            meta = checkpoint.get("meta") or {}
            self._adopt(runner, meta.get("dataset_meta") or {})
            return

        # Read the file and leave out unwanted parts
        name, model = runner._load_from, model_of(runner)
        source = parse_checkpoint(checkpoint, name, backbone_only=self.only == "backbone")
        if self.only is not None:
            weights = {key: value for key, value in source.weights.items() if part_of(key) == self.only}
            source = source._replace(weights=weights)

        # Match its weights with the model
        state_dict = model.state_dict()
        source_classes = source.dataset_meta.get("classes")
        match = match_weights(
            source.weights, state_dict, source_classes=source_classes, target_classes=classes_of(runner)
        )
        check_start(match, state_dict, source.weights, name)
        log_match(match, state_dict, f"{name} ({source.layout.title})")
        _warn_of_learning_rate(runner, match, state_dict)

        # Weights that the file lacks keep their initial values
        self._adopt(runner, source.dataset_meta)
        initial = {key: value.detach().cpu().clone() for key, value in state_dict.items()}
        checkpoint.clear()
        checkpoint["state_dict"] = initial | match.weights

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Note channel order and normalization unless they are the defaults."""
        normalization = getattr(model_of(runner).data_preprocessor, "normalization", None)
        if not normalization or not any(normalization.values()):
            return
        dataset_meta = checkpoint["meta"].setdefault("dataset_meta", {})
        order = "rgb" if normalization.pop("bgr_to_rgb") else "bgr"
        stored = dataset_meta.get("preprocessing") or {}
        dataset_meta["preprocessing"] = {**stored, "channel_order": order, **normalization}

    @staticmethod
    def _adopt(runner: Runner, dataset_meta: Mapping[str, Any]) -> None:
        """Adopt channel order and normalization from a checkpoint's metainfo."""
        preprocessor = model_of(runner).data_preprocessor
        if hasattr(preprocessor, "set_normalization"):
            settings = preprocessor.normalization
            adopt_normalization(settings, stored_preprocessing(dataset_meta))
            preprocessor.set_normalization(**settings)


def _warn_of_learning_rate(runner: Runner, match: WeightMatch, state_dict: Mapping[str, Any]) -> None:
    """Warn if a trained pose branch gets the learning rate of a new branch."""
    wrapper = runner.cfg.get("optim_wrapper") or {}
    factor = (wrapper.get("paramwise_cfg") or {}).get("pose_lr_mult", 1)
    branch = {key for key in state_dict if part_of(key) == "keypoints" and not key.endswith(COUNTER)}
    if factor > 1 and branch and branch <= match.weights.keys():
        runner.logger.warning(
            f"the keypoint branch starts from learned weights, but its learning rate is {factor:g} times that of the rest, "
            "which suits a new branch and makes this one forget; "
            "--cfg-options optim_wrapper.paramwise_cfg.pose_lr_mult=1 keeps more"
        )

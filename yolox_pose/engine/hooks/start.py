"""Where a run starts: weights of any layout, checked against the model, and what they assume of their input."""

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
    """Turns the weights that a training starts from into the model's, and refuses those that do not fit its body.

    Channel order and normalisation of the weights are taken over into the data preprocessor and written into the
    checkpoints of the run. (The padding side is that of the training itself.)

    Args:
        only: ``'backbone'`` takes only the backbone; the rest of the model stays new. None takes whatever the model has.

    Raises:
        DataError: If the weights are of no known layout or do not fit (:func:`yolox_pose.checkpoints.matching.check_start`).
    """

    priority = "HIGHEST"  # before the hook of the EMA model, which loads the same weights

    def __init__(self, only: str | None = None) -> None:
        if only not in (None, "backbone"):
            raise UsageError(f"StartWeightsHook: only must be 'backbone' or None, not {only!r}")
        self.only = only

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Replace the content of a file that was read, in place; a run that is resumed is given what it was written with."""
        if runner._resume:
            meta = checkpoint.get("meta") or {}
            self._adopt(runner, meta.get("dataset_meta") or {})
            return
        name, model = runner._load_from, model_of(runner)
        found = parse_checkpoint(checkpoint, name, backbone_only=self.only == "backbone")
        if self.only is not None:
            weights = {key: value for key, value in found.weights.items() if part_of(key) == self.only}
            found = found._replace(weights=weights)
        own = model.state_dict()
        names = found.dataset_meta.get("classes")
        fit = match_weights(found.weights, own, source_classes=names, target_classes=classes_of(runner))
        check_start(fit, own, found.weights, name)
        log_match(fit, own, f"{name} ({found.layout.title})")
        _warn_of_rate(runner, fit, own)
        self._adopt(runner, found.dataset_meta)
        initial = {key: value.detach().cpu().clone() for key, value in own.items()}
        checkpoint.clear()
        checkpoint["state_dict"] = initial | fit.weights

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note channel order and normalisation where they are not the usual ones."""
        normalization = getattr(model_of(runner).data_preprocessor, "normalization", None)
        if not normalization or not any(normalization.values()):
            return
        dataset_meta = checkpoint["meta"].setdefault("dataset_meta", {})
        order = "rgb" if normalization.pop("bgr_to_rgb") else "bgr"
        stored = dataset_meta.get("preprocessing") or {}
        dataset_meta["preprocessing"] = {**stored, "channel_order": order, **normalization}

    @staticmethod
    def _adopt(runner: Runner, dataset_meta: Mapping[str, Any]) -> None:
        preprocessor = model_of(runner).data_preprocessor
        if hasattr(preprocessor, "set_normalization"):
            settings = preprocessor.normalization
            adopt_normalization(settings, stored_preprocessing(dataset_meta))
            preprocessor.set_normalization(**settings)


def _warn_of_rate(runner: Runner, fit: WeightMatch, own: Mapping[str, Any]) -> None:
    """Say so where a keypoint branch that has learned already is given the rate of a new one."""
    wrapper = runner.cfg.get("optim_wrapper") or {}
    factor = (wrapper.get("paramwise_cfg") or {}).get("pose_lr_mult", 1)
    branch = {key for key in own if part_of(key) == "keypoints" and not key.endswith(COUNTER)}
    if factor > 1 and branch and branch <= fit.weights.keys():
        runner.logger.warning(
            f"the keypoint branch starts from learned weights, but at {factor:g} times the rate of the rest, which is meant "
            "for a new one and makes it forget; --cfg-options optim_wrapper.paramwise_cfg.pose_lr_mult=1 keeps more"
        )

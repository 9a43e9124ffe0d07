"""Find the settings that a part of a config may have: the keyword arguments of the class that it builds."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from mmengine import registry as mmengine_registries
from mmengine.hooks import CheckpointHook, EMAHook
from mmengine.registry import Registry
from mmengine.runner import Runner, set_random_seed
from mmengine.utils.dl_utils import set_multi_processing
from torch.utils.data import DataLoader

from yolox_pose import registry as own_registries

RUN_KEYS = frozenset(inspect.signature(Runner.__init__).parameters) - {"self", "cfg"} | {
    "activation_checkpointing",
    "compile",
    "custom_imports",
    "efficient_conv_bn_eval",
    "find_unused_parameters",
    "model_wrapper_cfg",
    "sync_bn",
}
"""Top-level keys that a run reads: the runner's arguments, and the keys that it looks up in the config itself."""

RESERVED = frozenset({"type", "_delete_", "_scope_"})
"""Keys that every group of settings may have."""

DEFAULT_TYPES = {
    "optim_wrapper": "OptimWrapper",
    "train_cfg": "EpochBasedTrainLoop",
    "val_cfg": "ValLoop",
    "test_cfg": "TestLoop",
    "log_processor": "LogProcessor",
    "visualizer": "Visualizer",
}
"""Classes that the runner builds from groups without ``type``."""

LOADER = re.compile(r"(train|val|test)_dataloader")
LOADER_EXTRAS = frozenset({"num_batch_per_epoch"})
"""Settings of a data loader that MMEngine's runner takes out before it calls torch."""

ITEM_EXTRAS = {
    "custom_hooks": frozenset({"priority"}),
    "default_hooks": frozenset({"priority"}),
    "param_scheduler": frozenset({"convert_to_iter_based"}),
}
GROUP_EXTRAS = {"optim_wrapper": frozenset({"constructor", "paramwise_cfg"}), "train_cfg": frozenset({"by_epoch"})}
"""Settings that MMEngine takes out before it builds a class: of the items of a top-level list or dict, and of a group."""

PASSED_ON: dict[type, Callable[[Mapping[str, Any]], Any]] = {
    CheckpointHook: lambda group: Runner.save_checkpoint,
    EMAHook: lambda group: find_class(group.get("ema_type", "ExponentialMovingAverage")),
}
"""Hooks of MMEngine that take any keyword, and the function or class that they pass the keywords on to."""

PLAIN_GROUPS = {
    "auto_scale_lr": frozenset({"base_batch_size", "enable"}),
    "custom_imports": frozenset({"allow_failed_imports", "imports"}),
    "env_cfg": frozenset({"cudnn_benchmark", "dist_cfg", "mp_cfg", "resource_limit"}),
    "optim_wrapper.clip_grad": frozenset(
        {"clip_value", "error_if_nonfinite", "foreach", "max_norm", "norm_type", "type"}
    ),
}
"""Groups of MMEngine that build no class."""


def accepted_keys(config: Mapping[str, Any], path: tuple[str, ...]) -> Collection[str] | None:
    """Return the keys that a group of a config may have.

    Args:
        config: The whole config, with the options applied.
        path: Keys from the top of the config to the group.

    Returns:
        Names of settings; None if any key may be right.
    """
    if not path:
        return RUN_KEYS
    group, dotted = get_path(config, path), ".".join(path)
    if not isinstance(group, Mapping):
        return None

    # Groups that the runner reads itself
    if LOADER.fullmatch(dotted):
        return _or_any(keywords(DataLoader), LOADER_EXTRAS)
    if dotted == "env_cfg.mp_cfg":
        return keywords(set_multi_processing)
    if dotted == "randomness":
        return keywords(set_random_seed)
    if dotted in PLAIN_GROUPS:
        return PLAIN_GROUPS[dotted]

    if dotted == "default_hooks":  # hooks have any name
        return frozenset(name for name, hook in group.items() if hook is None or _is_typed(hook))

    # Groups that build a class, and groups that a class reads
    if (builder := built_class(group, dotted)) is not None:
        return _or_any(_keys_of_builder(builder, group), RESERVED | _extras(path))
    return _group_of_class(config, path)


def _extras(path: tuple[str, ...]) -> frozenset[str]:
    table, key = (GROUP_EXTRAS, path[0]) if len(path) == 1 else (ITEM_EXTRAS, path[0] if len(path) == 2 else "")
    return table.get(key, frozenset())


def _keys_of_builder(builder: Any, group: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the keyword arguments of a class, with those that it passes on to another."""
    names = keywords(builder)
    for base in inspect.getmro(builder) if names is None and inspect.isclass(builder) else ():
        if base in PASSED_ON:
            parameters, _ = _parameters(vars(base)["__init__"])
            return _or_any(keywords(PASSED_ON[base](group)), parameters)
    return names


def _group_of_class(config: Mapping[str, Any], path: tuple[str, ...]) -> Collection[str] | None:
    """Return the keys of a group without ``type``, which the class around it reads.

    Classes of this package declare these groups in ``CONFIG_GROUPS``: a class whose keyword arguments they are, or names.
    """
    parent = get_path(config, path[:-1])
    if not isinstance(parent, Mapping):
        return None
    if path == ("optim_wrapper", "paramwise_cfg"):
        return getattr(find_class(parent.get("constructor", "")), "KEYS", None)
    if path[-2:-1] == ("transform_options",):
        return keywords(find_class(path[-1]))
    builder = built_class(parent, ".".join(path[:-1]))
    declared = getattr(builder, "CONFIG_GROUPS", {}).get(path[-1])
    return keywords(declared) if inspect.isclass(declared) else declared


def built_class(group: Mapping[str, Any], dotted: str) -> Any:
    """Return the class that a group of settings builds; None if it has no known ``type``."""
    kind = group.get("type", DEFAULT_TYPES.get(dotted))
    if dotted == "train_cfg" and "type" not in group and not group.get("by_epoch", True):
        kind = "IterBasedTrainLoop"
    return find_class(kind) if isinstance(kind, str) else kind


def find_class(name: str) -> Any:
    """Return the registered class of a name in any registry; None if there is none."""
    for registry in registries():
        try:
            if name and (registered := registry.get(name)) is not None:
                return registered
        except (ImportError, KeyError):  # a scope or module that is not installed
            continue
    return None


def registries() -> Iterator[Registry]:
    """Yield this package's registries, then MMEngine's, for those that have no child here."""
    for module in (own_registries, mmengine_registries):
        yield from (value for value in vars(module).values() if isinstance(value, Registry))


def keywords(builder: Any) -> frozenset[str] | None:
    """Return the keyword arguments of a class or function; None if it takes any.

    A class passes ``**kwargs`` on to its bases, whose arguments count as its own.
    """
    if not callable(builder):
        return None
    if not inspect.isclass(builder):
        names, is_open = _parameters(builder)
        return None if is_open else names
    if hasattr(builder, "_fields"):  # a named tuple
        return frozenset(builder._fields)
    result, is_open = frozenset[str](), False
    for base in builder.__mro__[:-1]:
        if "__init__" in vars(base):
            names, is_open = _parameters(vars(base)["__init__"])
            result |= names
            if not is_open:
                return result
    return None if is_open else result


def _parameters(function: Any) -> tuple[frozenset[str], bool]:
    """Return the names of a function's parameters, and whether it takes any keyword."""
    parameters = inspect.signature(function).parameters.values()
    names = frozenset(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    return names - {"self"}, any(p.kind is p.VAR_KEYWORD for p in parameters)


def get_path(config: Any, path: tuple[str, ...]) -> Any:
    """Return the value at a path of keys and list indices; None if there is none."""
    for key in path:
        if isinstance(config, Mapping):
            config = config.get(key)
        elif isinstance(config, list | tuple) and key.isdigit() and int(key) < len(config):
            config = config[int(key)]
        else:
            return None
    return config


def _is_typed(group: Any) -> bool:
    return isinstance(group, Mapping) and "type" in group


def _or_any(names: frozenset[str] | None, extra: frozenset[str]) -> frozenset[str] | None:
    return None if names is None else names | extra

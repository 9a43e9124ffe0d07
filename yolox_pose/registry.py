"""Registries of this package: children of MMPose's, scope ``yolox_pose``.

A config with ``default_scope = 'yolox_pose'`` finds the classes of this package first and those of MMPose and MMEngine
through the parents. Importing this module runs :mod:`yolox_pose.compat` first, so that MMPose's tools can use the package
with ``custom_imports=dict(imports=['yolox_pose.registry'])``. A registry imports its classes at the first look-up.
"""

from yolox_pose import compat

compat.install()

from mmengine.registry import Registry  # noqa: E402
from mmpose import registry as mmpose_registry  # noqa: E402

SCOPE = "yolox_pose"


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    # A look-up imports the locations of this registry only, so they include MMPose's
    return Registry(name, parent=parent, scope=SCOPE, locations=[*locations, *parent._locations])


MODELS = _child("model", mmpose_registry.MODELS, "yolox_pose.models")
DATASETS = _child("dataset", mmpose_registry.DATASETS, "yolox_pose.datasets.coco")
DATA_SAMPLERS = _child("data sampler", mmpose_registry.DATA_SAMPLERS, "yolox_pose.datasets.sampler")
TRANSFORMS = _child("transform", mmpose_registry.TRANSFORMS, "yolox_pose.datasets.transforms")
METRICS = _child("metric", mmpose_registry.METRICS, "yolox_pose.evaluation.coco_metric")
HOOKS = _child("hook", mmpose_registry.HOOKS, "yolox_pose.engine.hooks")
OPTIMIZERS = _child("optimizer", mmpose_registry.OPTIMIZERS, "yolox_pose.engine.optim")
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    "optimizer wrapper constructor", mmpose_registry.OPTIM_WRAPPER_CONSTRUCTORS, "yolox_pose.engine.optim"
)
VISUALIZERS = _child("visualizer", mmpose_registry.VISUALIZERS, "yolox_pose.engine.visualizer")

# These hold no class of this package. Every training looks them up in the default scope, and a config may name a loop:
# without a child MMEngine warns at each look-up and does not find the classes of MMPose. Registries that a training does
# not look up (runners, model wrappers, evaluators, inferencers, task utilities) have no child.
LOOPS = _child("loop", mmpose_registry.LOOPS)
LOG_PROCESSORS = _child("log processor", mmpose_registry.LOG_PROCESSORS)
OPTIM_WRAPPERS = _child("optimizer_wrapper", mmpose_registry.OPTIM_WRAPPERS)
PARAM_SCHEDULERS = _child("parameter scheduler", mmpose_registry.PARAM_SCHEDULERS)
VISBACKENDS = _child("vis_backend", mmpose_registry.VISBACKENDS)
WEIGHT_INITIALIZERS = _child("weight initializer", mmpose_registry.WEIGHT_INITIALIZERS)

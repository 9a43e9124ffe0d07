"""Registries of this package: children of MMPose's, scope ``yolox_pose``.

A config with ``default_scope = 'yolox_pose'`` finds these classes first and MMPose's and MMEngine's through the parents.
Importing this module runs :mod:`yolox_pose.compat` first, so that MMPose's own tools can use the package with
``custom_imports=dict(imports=['yolox_pose.registry'])``. Classes are imported when they are first looked up.
"""

from yolox_pose import compat

compat.install()

from mmengine.registry import Registry  # noqa: E402
from mmpose import registry as mmpose_registry  # noqa: E402

SCOPE = "yolox_pose"


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    # a look-up here imports the locations of this registry alone, so they include MMPose's
    return Registry(name, parent=parent, scope=SCOPE, locations=[*locations, *parent._locations])


MODELS = _child("model", mmpose_registry.MODELS, "yolox_pose.models")
TASK_UTILS = _child("task util", mmpose_registry.TASK_UTILS, "yolox_pose.models")
DATASETS = _child("dataset", mmpose_registry.DATASETS, "yolox_pose.datasets.coco")
DATA_SAMPLERS = _child("data sampler", mmpose_registry.DATA_SAMPLERS, "yolox_pose.datasets.sampler")
TRANSFORMS = _child("transform", mmpose_registry.TRANSFORMS, "yolox_pose.datasets.transforms")
METRICS = _child("metric", mmpose_registry.METRICS, "yolox_pose.evaluation.coco_metric")
HOOKS = _child("hook", mmpose_registry.HOOKS, "yolox_pose.engine.hooks")
OPTIMIZERS = _child("optimizer", mmpose_registry.OPTIMIZERS, "yolox_pose.engine.optim")
OPTIM_WRAPPERS = _child("optimizer_wrapper", mmpose_registry.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    "optimizer wrapper constructor", mmpose_registry.OPTIM_WRAPPER_CONSTRUCTORS, "yolox_pose.engine.optim"
)
LOOPS = _child("loop", mmpose_registry.LOOPS)
VISUALIZERS = _child("visualizer", mmpose_registry.VISUALIZERS, "yolox_pose.engine.visualizer")

# Nothing of this package is in these; they exist because MMEngine looks for them under the default scope.
RUNNERS = _child("runner", mmpose_registry.RUNNERS)
RUNNER_CONSTRUCTORS = _child("runner constructor", mmpose_registry.RUNNER_CONSTRUCTORS)
MODEL_WRAPPERS = _child("model_wrapper", mmpose_registry.MODEL_WRAPPERS)
WEIGHT_INITIALIZERS = _child("weight initializer", mmpose_registry.WEIGHT_INITIALIZERS)
PARAM_SCHEDULERS = _child("parameter scheduler", mmpose_registry.PARAM_SCHEDULERS)
EVALUATORS = _child("evaluator", mmpose_registry.EVALUATORS)
VISBACKENDS = _child("vis_backend", mmpose_registry.VISBACKENDS)
LOG_PROCESSORS = _child("log processor", mmpose_registry.LOG_PROCESSORS)
INFERENCERS = _child("inferencer", mmpose_registry.INFERENCERS)

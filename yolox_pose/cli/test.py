"""Evaluate a checkpoint: ``yolox-pose test`` and ``tools/test.py``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_pose.cli.common import (
    add_config_options,
    add_run_options,
    check_device,
    check_file,
    load_config,
    setup_launcher,
)
from yolox_pose.errors import UsageError
from yolox_pose.evaluation.results import (
    METRICS_FILE,
    PREDICTIONS_PREFIX,
    check_output_folder,
    figures_table,
    write_metrics,
)

if TYPE_CHECKING:
    from mmengine.config import Config

EXAMPLES = """examples:
  python tools/test.py configs/yolox-pose/yolox-pose_s_8xb32-300e_coco.py work_dirs/s/epoch_300.pth --out results
  python tools/test.py CONFIG CHECKPOINT --cfg-options test_dataloader.batch_size=8
  torchrun --nproc_per_node 4 tools/test.py CONFIG CHECKPOINT --launcher pytorch
"""


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="test",
        description="Evaluate a checkpoint on the test data of a config and print COCO's figures.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config file, or the name of a config of this package")
    parser.add_argument("checkpoint", help="weights to evaluate, of any layout that is known")
    parser.add_argument("--out", metavar="DIR", help="write metrics.json and the predictions (COCO results) there")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are in DIR already")
    parser.add_argument("--work-dir", help="where the log goes (default: work_dirs/<config name>)")
    add_run_options(parser)
    add_config_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    out = None if args.out is None else check_output_folder(args.out, overwrite=args.overwrite)
    device = check_device(args.device)
    config = load_config(args.config, args.cfg_options, args.seed)
    config.work_dir = args.work_dir or config.get("work_dir") or str(Path("work_dirs") / Path(args.config).stem)
    config.load_from = str(check_file(args.checkpoint, "checkpoint"))
    setup_launcher(config, args.launcher, args.local_rank, device)
    chosen = any(option.startswith("model.test_cfg.score_thr=") for option in args.cfg_options)
    metrics = evaluate(config, out, keep_threshold=chosen)
    from mmengine.dist import is_main_process

    if is_main_process():
        print(figures_table(metrics))
        if out is not None:
            print(f"written: {write_metrics(out / METRICS_FILE, metrics)}")
    return 0


def evaluate(config: Config, out: Path | None = None, *, keep_threshold: bool = False) -> Mapping[str, Any]:
    """Evaluate what ``config.load_from`` names on the test data of a config.

    The checkpoint may be of any layout that is known. What it assumes of its input wins over the config.

    Args:
        config: A config; changed in place.
        out: Folder for the predictions; None writes none.
        keep_threshold: Whether the score threshold is the config's, whatever the checkpoint says.

    Returns:
        Figures by name, such as ``coco/AP``; the same in every process.

    Raises:
        UsageError: If the config says nothing of testing.
        DataError: If data or weights cannot be used.
    """
    from mmengine.model import is_model_wrapper
    from mmengine.runner import Runner

    from yolox_pose.apis.model_io import load_weights
    from yolox_pose.checkpoints.files import read_checkpoint
    from yolox_pose.checkpoints.origin import apply_origin

    absent = [key for key in ("test_dataloader", "test_evaluator") if not config.get(key)]
    if absent:
        raise UsageError(f"config {config.filename} has no {' and no '.join(absent)}")
    config.resume = False
    if config.get("test_cfg") is None:
        config.test_cfg = {}
    # A checkpoint's state_dict already holds the averaged weights; the hook would keep a second model for nothing.
    config.custom_hooks = [hook for hook in config.get("custom_hooks") or [] if not _is_a(hook, "EMAHook")]
    if out is not None:
        for metric in _metrics(config):
            metric.outfile_prefix = str(out / PREDICTIONS_PREFIX)
    checkpoint = read_checkpoint(config.load_from)
    config.load_from = None
    apply_origin(config, checkpoint.dataset_meta, threshold=not keep_threshold)
    runner = Runner.from_cfg(config)
    load_weights(runner.model.module if is_model_wrapper(runner.model) else runner.model, checkpoint)
    runner.logger.info(f"Weights of {checkpoint.layout.title} from {checkpoint.name}")
    return runner.test()


def _metrics(config: Config) -> list[Any]:
    """Settings of this package's metrics."""
    evaluators = config.test_evaluator
    if isinstance(evaluators, Mapping):
        evaluators = evaluators.get("metrics", evaluators)  # MMEngine's own evaluator, or a metric
    if isinstance(evaluators, Mapping):
        evaluators = [evaluators]
    return [metric for metric in evaluators if _is_a(metric, "CocoPoseMetric")]


def _is_a(settings: Any, name: str) -> bool:
    """Whether the settings build a class of that name, in whatever scope."""
    kind = settings.get("type") if isinstance(settings, Mapping) else None
    kind = kind if isinstance(kind, str) else getattr(kind, "__name__", "")
    return kind.rpartition(".")[2] == name

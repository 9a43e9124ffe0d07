"""Evaluate a checkpoint: ``yolox-pose test`` and ``tools/test.py``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_pose.cli.common import (
    add_config_options,
    add_data_option,
    add_run_options,
    check_device,
    leave_processes,
    setup_launcher,
)
from yolox_pose.coco.results import (
    METRICS_FILE,
    PREDICTIONS_PREFIX,
    check_output_folder,
    metrics_table,
    write_metrics,
)
from yolox_pose.config import load_config, use_data
from yolox_pose.errors import UsageError
from yolox_pose.weights import find_weights

if TYPE_CHECKING:
    from mmengine.config import Config

    from yolox_pose.engine.tta import TTASettings

EXAMPLES = """examples:
  python tools/test.py configs/yolox-pose/yolox-pose_s_8xb32-300e_coco.py work_dirs/s/epoch_300.pth --out results
  python tools/test.py bundled bundled --data DIR
  python tools/test.py CONFIG CHECKPOINT --cfg-options test_dataloader.batch_size=8
  python tools/test.py CONFIG CHECKPOINT --tta --tta-scales 0.8 1 1.2
  python tools/test.py CONFIG CHECKPOINT --streaming 30 --latency-ms 50 --forecast
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
    parser.add_argument(
        "checkpoint", help="weights to evaluate, of any layout that is known; or bundled, as for the config"
    )
    parser.add_argument("--out", metavar="DIR", help="write metrics.json and the predictions (COCO results) there")
    parser.add_argument("--overwrite", action="store_true", help="replace results that are in DIR already")
    parser.add_argument("--work-dir", help="where the log goes (default: work_dirs/<config name>)")
    add_data_option(parser)
    add_run_options(parser)
    add_config_options(parser)
    views = parser.add_argument_group("test-time augmentation")
    views.add_argument("--tta", action="store_true", help="look at several views of each image and merge what is found")
    views.add_argument(
        "--tta-scales",
        type=float,
        nargs="+",
        default=(1.0,),
        metavar="S",
        help="sizes of the views against the config's input size (default: 1)",
    )
    views.add_argument("--no-tta-flip", action="store_true", help="do not look at mirrored images")
    stream = parser.add_argument_group("streaming accuracy, on data that are sequences (docs/streaming.md)")
    stream.add_argument(
        "--streaming",
        type=float,
        metavar="FPS",
        help="score every frame with the newest prediction that was finished by then, beside the offline figures",
    )
    stream.add_argument("--latency-ms", type=float, metavar="MS", help="time that a frame takes (default: measured)")
    stream.add_argument(
        "--forecast", action="store_true", help="move people on at constant velocity to the time of the frame"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = build_parser().parse_args(argv)
    _check_options(args)
    from yolox_pose.engine.tta import TTASettings

    out = None if args.out is None else check_output_folder(args.out, overwrite=args.overwrite)
    device = check_device(args.device)
    config = load_config(args.config, args.cfg_options, args.seed)
    config.work_dir = args.work_dir or config.get("work_dir") or str(Path("work_dirs") / Path(args.config).stem)
    config.load_from = str(find_weights(args.checkpoint))
    if args.data is not None:
        use_data(config, args.data, ("test",))
    setup_launcher(config, args.launcher, args.local_rank, device)
    if args.streaming is not None:
        return _stream(config, args, out)
    views = TTASettings(tuple(args.tta_scales), not args.no_tta_flip) if args.tta else None
    chosen = any(option.startswith("model.test_cfg.score_thr=") for option in args.cfg_options)
    metrics = evaluate(config, out, keep_threshold=chosen, views=views)
    from mmengine.dist import is_main_process

    if is_main_process():
        print(metrics_table(metrics))
        if out is not None:
            print(f"written: {write_metrics(out / METRICS_FILE, metrics)}")
    leave_processes()
    return 0


def evaluate(
    config: Config, out: Path | None = None, *, keep_threshold: bool = False, views: TTASettings | None = None
) -> Mapping[str, Any]:
    """Evaluate what ``config.load_from`` names on the test data of a config.

    The checkpoint may be of any layout that is known. What it assumes of its input wins over the config.

    Args:
        config: A config; changed in place.
        out: Folder for the predictions; None writes none.
        keep_threshold: Whether the score threshold is the config's, whatever the checkpoint says.
        views: Of test-time augmentation; None looks at each image once.

    Returns:
        Figures by name, such as ``coco/AP``; the same in every process.

    Raises:
        UsageError: If the config says nothing of testing.
        DataError: If data or weights cannot be used.
    """
    from mmengine.runner import Runner

    from yolox_pose.checkpoints.files import read_checkpoint
    from yolox_pose.checkpoints.preprocessing import apply_preprocessing
    from yolox_pose.engine.run import model_of
    from yolox_pose.engine.tta import apply_tta
    from yolox_pose.models.loading import load_weights

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
    apply_preprocessing(config, checkpoint.dataset_meta, threshold=not keep_threshold)
    if views is not None:
        apply_tta(config, views)
    runner = Runner.from_cfg(config)
    model = model_of(runner)
    load_weights(model if views is None else model.module, checkpoint)
    runner.logger.info(f"Weights of {checkpoint.layout.title} from {checkpoint.name}")
    return runner.test()


def _check_options(args: argparse.Namespace) -> None:
    if not args.tta and (args.no_tta_flip or tuple(args.tta_scales) != (1.0,)):
        raise UsageError("--tta-scales and --no-tta-flip are options of --tta")
    if min(args.tta_scales) <= 0:
        raise UsageError(f"--tta-scales must be above 0, found {min(args.tta_scales):g}")
    if args.streaming is None and (args.latency_ms is not None or args.forecast):
        raise UsageError("--latency-ms and --forecast are options of --streaming")
    if args.streaming is not None and (args.tta or args.launcher != "none"):
        raise UsageError("--streaming runs in one process and without --tta: it measures a detector that is used live")


def _stream(config: Config, args: argparse.Namespace, out: Path | None) -> int:
    """Streaming evaluation of the command."""
    from yolox_pose.engine.streaming import evaluate_streaming

    if not config.get("test_dataloader") or not config.get("test_evaluator"):
        raise UsageError(f"config {config.filename} has no test_dataloader or no test_evaluator")
    report = evaluate_streaming(
        config,
        config.load_from,
        fps=args.streaming,
        latency=None if args.latency_ms is None else args.latency_ms / 1000,
        forecast=args.forecast,
        device=args.device,
        out=out,
    )
    print(metrics_table(report.metrics))
    how = "given" if report.latency.given else "measured, median"
    print(f"{report.frames} frames at {args.streaming:g} a second, {1000 * report.latency.median:.1f} ms each ({how})")
    if out is not None:
        print(f"written: {write_metrics(out / METRICS_FILE, report.metrics)}")
    return 0


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

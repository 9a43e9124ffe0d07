"""Evaluate a checkpoint: ``yolox-pose test`` and ``tools/test.py``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yolox_pose.cli.common import add_config_options, add_data_option, add_run_options, default_work_dir
from yolox_pose.cli.model_options import add_model_arguments, choose_positional_model
from yolox_pose.coco.results import METRICS_FILE, check_output_folder, metrics_table, write_metrics
from yolox_pose.config import load_config, use_data
from yolox_pose.errors import UsageError
from yolox_pose.utils.text import counted

if TYPE_CHECKING:
    from mmengine.config import Config
EXAMPLES = """examples:
  yolox-pose test configs/yolox-pose/yolox-pose_s_8xb32-300e_coco.py work_dirs/s/epoch_300.pth --out results
  yolox-pose test bundled bundled --data DIR
  yolox-pose test s --data DIR
  yolox-pose test CONFIG CHECKPOINT --cfg-options test_dataloader.batch_size=8
  yolox-pose test CONFIG CHECKPOINT --tta --tta-scales 0.8 1 1.2
  yolox-pose test CONFIG CHECKPOINT --streaming 30 --latency-ms 50 --forecast
  torchrun --nproc_per_node 4 -m yolox_pose.cli.main test CONFIG CHECKPOINT --launcher pytorch
"""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="yolox-pose test",
        description="Evaluate a checkpoint on the test data of a config and print the COCO metrics.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_model_arguments(parser)
    parser.add_argument("--out", metavar="DIR", help="folder for metrics.json and the predictions (COCO results)")
    parser.add_argument("--overwrite", action="store_true", help="replace the results in DIR")
    parser.add_argument("--work-dir", help="folder for the log (default: work_dirs/<config name>)")
    add_data_option(parser)
    add_run_options(parser)
    add_config_options(parser)
    tta = parser.add_argument_group("test-time augmentation")
    tta.add_argument("--tta", action="store_true", help="merge the detections of several augmented views of each image")
    tta.add_argument(
        "--tta-scales",
        type=float,
        nargs="+",
        default=(1.0,),
        metavar="S",
        help="sizes of the views relative to the config's input size (default: 1)",
    )
    tta.add_argument("--no-tta-flip", action="store_true", help="do not add mirrored views")
    stream = parser.add_argument_group("streaming accuracy, for data of sequences (docs/streaming.md)")
    stream.add_argument(
        "--streaming",
        type=float,
        metavar="FPS",
        help="also score each frame with the latest prediction that is finished when the frame arrives",
    )
    stream.add_argument("--latency-ms", type=float, metavar="MS", help="latency of a frame (default: measured)")
    stream.add_argument(
        "--forecast", action="store_true", help="move detections to the time of the frame, at constant velocity"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = build_parser().parse_intermixed_args(argv)
    _check_options(args)
    from yolox_pose.engine import launch

    # Read the config and choose device and processes
    out = None if args.out is None else check_output_folder(args.out, overwrite=args.overwrite)
    device = launch.select_device(args.device)
    config_name, checkpoint = choose_positional_model(args.config, args.checkpoint)
    config = load_config(config_name, args.cfg_options, args.seed)
    config.work_dir = args.work_dir or default_work_dir(config, config_name)
    config.load_from = str(checkpoint)
    if args.data is not None:
        use_data(config, args.data, ("test",))
    launch.setup_launcher(config, args.launcher, args.local_rank, device)

    # Evaluate, and report from the first process
    if args.streaming is not None:
        return _evaluate_streaming(config, args, out)
    metrics = _evaluate(config, args, out)
    from mmengine.dist import is_main_process

    if is_main_process():
        _report(metrics, out)
    launch.leave_processes()
    return 0


def _check_options(args: argparse.Namespace) -> None:
    if not args.tta and (args.no_tta_flip or tuple(args.tta_scales) != (1.0,)):
        raise UsageError("--tta-scales and --no-tta-flip are options of --tta")
    if min(args.tta_scales) <= 0:
        raise UsageError(f"--tta-scales must be above 0, found {min(args.tta_scales):g}")
    if args.streaming is None and (args.latency_ms is not None or args.forecast):
        raise UsageError("--latency-ms and --forecast are options of --streaming")
    if args.streaming is not None and (args.tta or args.launcher != "none"):
        raise UsageError("--streaming runs in one process and without --tta, as a live detector does")


def _evaluate(config: Config, args: argparse.Namespace, out: Path | None) -> Mapping[str, Any]:
    from yolox_pose.engine.testing import evaluate
    from yolox_pose.engine.tta import TTASettings

    tta = TTASettings(tuple(args.tta_scales), not args.no_tta_flip) if args.tta else None
    has_threshold = any(option.startswith("model.test_cfg.score_thr=") for option in args.cfg_options)
    return evaluate(config, out, keep_threshold=has_threshold, tta=tta)


def _evaluate_streaming(config: Config, args: argparse.Namespace, out: Path | None) -> int:
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
    source = "given" if report.latency.fixed else "measured, median"
    _report(
        report.metrics,
        out,
        f"{counted(report.frames, 'frames')} at {args.streaming:g} a second, {1000 * report.latency.median:.1f} ms each ({source})",
    )
    return 0


def _report(metrics: Mapping[str, Any], out: Path | None, summary: str = "") -> None:
    print(metrics_table(metrics))
    if summary:
        print(summary)
    if out is not None:
        print(f"written: {write_metrics(out / METRICS_FILE, metrics)}")

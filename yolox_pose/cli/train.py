"""Train a model: ``yolox-pose train`` and ``tools/train.py``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from yolox_pose.cli.common import add_config_options, add_data_option, add_run_options, default_work_dir
from yolox_pose.cli.model_options import WEIGHTS_HELP, add_weights_option
from yolox_pose.config import load_config, use_data

EXAMPLES = """examples:
  yolox-pose train configs/yolox-pose/yolox-pose_s_8xb32-300e_coco.py --amp
  yolox-pose train configs/yolox-pose/yolox-pose_tiny_8xb32-300e_coco.py --resume
  yolox-pose train configs/finetune/yolox-pose_nano_1xb16-30e_custom-416.py --data DIR --load-from bundled
  yolox-pose train configs/finetune/yolox-pose_nano_1xb16-30e_custom-416.py --data DIR --load-from yolox_nano.pth --distill
  yolox-pose train configs/finetune/yolox-pose_nano_1xb16-30e_custom-416.py --data DIR --load-from yolox_nano.pth --freeze-detector
  torchrun --nproc_per_node 4 -m yolox_pose.cli.main train CONFIG --launcher pytorch --auto-scale-lr
"""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="yolox-pose train",
        description="Train a model.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="config file, or the name of a config of this package")
    parser.add_argument("--work-dir", help="folder for logs and checkpoints (default: work_dirs/<config name>)")
    parser.add_argument(
        "--resume",
        nargs="?",
        const="auto",
        metavar="PATH",
        help="continue from a checkpoint; without PATH from the latest one in the work dir",
    )
    parser.add_argument(
        "--load-from",
        metavar="W",
        help=f"start from these weights, in any known layout (docs/checkpoints.md): {WEIGHTS_HELP}; a detector works too, and "
        "'bundled' names the weights in the package",
    )
    parser.add_argument(
        "--only", choices=("backbone",), help="take only the backbone of --load-from; weights of RTMO work then, too"
    )
    add_weights_option(parser)
    detector = parser.add_mutually_exclusive_group()
    detector.add_argument(
        "--distill",
        nargs="?",
        const="",
        metavar="PATH",
        help="distill the detections of the weights that the training starts from, or of PATH, so that training on few "
        "images does not make the model forget; a step takes a quarter longer",
    )
    detector.add_argument(
        "--freeze-detector",
        action="store_true",
        help="train only the keypoint branch; boxes and scores stay those of the weights that the training starts from, "
        "and a step takes less than half the time",
    )
    parser.add_argument("--amp", action="store_true", help="use mixed precision: fp16 on a GPU, bf16 on CPU")
    parser.add_argument(
        "--auto-scale-lr", action="store_true", help="scale the learning rate with the batch size of all processes"
    )
    parser.add_argument("--no-validate", action="store_true", help="do not evaluate during training")
    parser.add_argument(
        "--tensorboard", action="store_true", help="write TensorBoard events to <work dir>/<time>/vis_data"
    )
    parser.add_argument(
        "--val-pictures",
        type=int,
        metavar="N",
        help="draw N validation images, annotated and predicted, to <work dir>/val_pictures at every validation",
    )
    add_data_option(parser)
    add_run_options(parser)
    add_config_options(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    args = build_parser().parse_args(argv)
    from yolox_pose.engine import launch, training

    # Read the config and choose device and processes
    device = launch.select_device(args.device)
    config = load_config(args.config, args.cfg_options, args.seed)
    config.work_dir = args.work_dir or default_work_dir(config, args.config)
    if args.data is not None:
        use_data(config, args.data, ("train", "val", "test"))
    launch.setup_launcher(config, args.launcher, args.local_rank, device)
    launch.check_sync_bn(config, args.launcher, device)

    # Apply the options of the training
    training.set_start(config, args.resume, args.load_from, args.only)
    if args.distill is not None:
        training.distill(config, args.distill)
    if args.freeze_detector:
        training.freeze_detector(config)
    if args.amp:
        training.use_amp(config, device)
    if args.auto_scale_lr:
        training.scale_lr(config)
    if args.no_validate:
        training.skip_validation(config)
    if args.tensorboard:
        training.add_tensorboard(config)
    if args.val_pictures is not None:
        training.draw_val_pictures(config, args.val_pictures)

    try:
        training.train(config)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_kept(Path(config.work_dir))) from None
    launch.leave_processes()
    return 0


def _kept(work_dir: Path) -> str:
    """Say which checkpoint an interrupted training leaves behind."""
    marker = work_dir / "last_checkpoint"  # written by MMEngine's CheckpointHook
    if not marker.is_file():
        return f"no checkpoint was written to {work_dir} yet"
    checkpoint = Path(marker.read_text(encoding="utf-8").strip()).name
    return f"{work_dir / checkpoint} is kept; the same command with --resume continues from it"

"""``yolox-pose serve``: a web page on this machine that shows the poses of uploaded images."""

from __future__ import annotations

import argparse
import webbrowser
from collections.abc import Sequence

from yolox_pose.cli.common import choose_model
from yolox_pose.cli.inference_options import (
    add_config_option,
    add_detection_options,
    add_input_options,
    add_model_options,
    detection_settings,
    input_settings,
)
from yolox_pose.errors import UsageError

EXAMPLES = """examples:
  yolox-pose serve --open
  yolox-pose serve --config C.py --checkpoint W.pth
  yolox-pose serve --config C.py --checkpoint W.pth --port 0
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = argparse.ArgumentParser(
        prog="yolox-pose serve",
        description="Serve a web page: drop an image, see its poses, move the thresholds. The server listens on this "
        "machine only, unless --host changes that, and writes nothing to disk.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    model = parser.add_argument_group("model")
    add_config_option(model)
    add_model_options(model)
    add_input_options(model)
    add_detection_options(parser.add_argument_group("detections"), score_thr=0.05)
    server = parser.add_argument_group("server")
    server.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine only)"
    )
    server.add_argument("--port", type=int, default=8000, help="port; 0 uses a free one (default: 8000)")
    server.add_argument("--max-mb", type=float, default=20, metavar="MB", help="largest upload (default: 20)")
    server.add_argument(
        "--max-megapixels", type=float, default=50, metavar="MP", help="largest decoded image (default: 50)"
    )
    server.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command until it is interrupted."""
    # Check the options
    args = build_parser().parse_args(argv)
    if not 0 <= args.port < 65536:
        raise UsageError(f"--port must be between 0 and 65535, not {args.port}")
    if min(args.max_mb, args.max_megapixels) <= 0:
        raise UsageError("--max-mb and --max-megapixels must be above 0")
    from yolox_pose.inference.inferencer import PoseInferencer
    from yolox_pose.serve.server import Limits, PoseServer, describe_model, is_loopback

    # Load the model
    config, checkpoint = choose_model(args.config, args.checkpoint)
    settings = {**detection_settings(args), **input_settings(args)}
    pose = PoseInferencer(config, checkpoint, args.device, **settings, batch_size=1)  # type: ignore[arg-type]
    limits = Limits(bytes=round(args.max_mb * 1e6), pixels=round(args.max_megapixels * 1e6))
    model = describe_model(pose.skeleton, pose.classes, args.score_thr)

    # Serve the page
    try:
        server = PoseServer((args.host, args.port), lambda img: next(iter(pose(img))), model, limits)
    except OSError as error:
        raise UsageError(f"cannot listen on {args.host}:{args.port}: {error.strerror or error}") from None
    with server:
        if not is_loopback(args.host):
            print(f"warning: everyone who can reach {args.host} can use this server; it asks for no password")
        print(f"serving on {server.url} (stop it with Ctrl-C)", flush=True)
        if args.open:
            webbrowser.open(server.url)
        server.serve_forever()
    return 0

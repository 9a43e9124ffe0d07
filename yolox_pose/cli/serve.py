"""``yolox-pose serve``: a web page on this machine that shows the poses of dropped images."""

from __future__ import annotations

import argparse
import webbrowser
from collections.abc import Sequence

from yolox_pose.cli.common import choose_model
from yolox_pose.cli.model_options import add_weights_option
from yolox_pose.errors import UsageError

EXAMPLES = """examples:
  yolox-pose serve --open
  yolox-pose serve --config C.py --checkpoint W.pth
  yolox-pose serve --config C.py --checkpoint W.pth --port 0
"""


def build_parser() -> argparse.ArgumentParser:
    """Options of the command."""
    parser = argparse.ArgumentParser(
        prog="serve",
        description="Serve a web page: drop an image, see its poses, move the thresholds. It listens on this machine alone "
        "unless told otherwise, and writes nothing to disk.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config",
        metavar="C",
        help="config file, or the name of a config of this package (default: the bundled model, with --checkpoint)",
    )
    parser.add_argument(
        "--checkpoint", metavar="W", help="weights: a file, a name that 'yolox-pose weights list' shows, or a URL"
    )
    add_weights_option(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port; 0 takes a free one (default: 8000)")
    parser.add_argument(
        "--score-thr", type=float, default=0.05, metavar="S", help="lowest score that the page gets (default: 0.05)"
    )
    parser.add_argument("--max-mb", type=float, default=20, metavar="MB", help="largest upload (default: 20)")
    parser.add_argument(
        "--max-megapixels", type=float, default=50, metavar="MP", help="largest decoded image (default: 50)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command until it is interrupted."""
    args = build_parser().parse_args(argv)
    if not 0 <= args.port < 65536:
        raise UsageError(f"--port must be between 0 and 65535, not {args.port}")
    if min(args.max_mb, args.max_megapixels) <= 0:
        raise UsageError("--max-mb and --max-megapixels must be above 0")
    from yolox_pose.inference.inferencer import PoseInferencer
    from yolox_pose.serve.server import Limits, PoseServer, describe_model, is_loopback

    config, checkpoint = choose_model(args.config, args.checkpoint)
    pose = PoseInferencer(config, checkpoint, args.device, score_thr=args.score_thr, batch_size=1)
    limits = Limits(bytes=round(args.max_mb * 1e6), pixels=round(args.max_megapixels * 1e6))
    model = describe_model(pose.skeleton, pose.classes)
    try:
        server = PoseServer((args.host, args.port), lambda img: next(iter(pose(img))), model, limits)
    except OSError as error:
        raise UsageError(f"cannot listen on {args.host}:{args.port}: {error.strerror or error}") from None
    with server:
        if not is_loopback(args.host):
            print(f"warning: everybody who can reach {args.host} can use this server; it asks for no password")
        print(f"serving on {server.url} (Ctrl-C ends it)", flush=True)
        if args.open:
            webbrowser.open(server.url)
        server.serve_forever()
    return 0

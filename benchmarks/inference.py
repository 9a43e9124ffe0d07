"""Compare the inference call with mmpose's, and with its own network alone.

``python benchmarks/inference.py [--json FILE]``. Both sides have the same random weights, with the batch-norm statistics of
the image, read the same JPEG file and use the same score threshold. Their detections are compared first, on a picture of the
network's width, because mmpose resamples other widths a little differently. All calls of a case are made in turns. ``ours``
and ``peer`` are times of whole calls. In rows with ``share``, the peer is the network of this package (fused convolutions,
channels last), so that the value shows the cost of everything around it. ``bound`` is the requirement on two idle cores, or
on a GPU (--device cuda; float32, without TensorFloat-32).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import add_json_option, bounded, case, device, interleaved, progress, report

from yolox_pose import PoseInferencer, compat
from yolox_pose.geometry.images import read_image
from yolox_pose.geometry.letterbox import fit_letterbox, letterbox_image
from yolox_pose.inference.plotter import MAX_PENDING, Plotter, plot_processes
from yolox_pose.inference.results import PoseResult
from yolox_pose.io.video_writer import VideoFiles, find_ffmpeg
from yolox_pose.tracking import TrackerSettings
from yolox_pose.utils.background import BackgroundWorker

compat.install()

import mmpose  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmpose.apis import inference_bottomup, init_model  # noqa: E402

SIZES = {"tiny": 416, "s": 640, "m": 640, "l": 640}
PEER_CONFIGS = {
    name: f"yoloxpose_{name}_{'4xb64' if name == 'tiny' else '8xb32'}-300e_coco-{side}.py"
    for name, side in SIZES.items()
}
PEER_FOLDER = Path(mmpose.__file__).parent / ".mim/configs/body_2d_keypoint/yoloxpose/coco"
MARGIN = 1e-4
"""Distance from the threshold within which scores may fall on either side."""
MANY, ORDINARY = 2500, 8
"""Numbers of detections above the threshold, with and without a loop over thousands in mmpose's NMS."""
SPEEDUP = {MANY: 2.0, 300: 1.1, ORDINARY: 1.1}
"""Smallest speedup over the call of mmpose."""
POST_SHARE, CALL_SHARE = 0.15, 1.15
"""Largest share of postprocessing, and of the whole call, of the network's time on a CPU."""
RATE_SHARE = {"cpu": 0.75, "cuda": 0.9}
"""Smallest number of images per second, relative to the network alone."""
PEOPLE = 20
"""Largest number of persons per picture in batches and videos, where random weights would find hundreds."""


def make_picture(path: Path, width: int = 640, height: int = 480) -> np.ndarray:
    """Write a JPEG of clouds at three scales, so that the layers see edges of all sizes."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 85, (3 * n, 4 * n, 3)).astype(np.float32) for n in (2, 9, 40)]
    picture = sum(cv2.resize(part, (width, height), interpolation=cv2.INTER_CUBIC) for part in noise)
    cv2.imwrite(str(path), np.clip(picture, 0, 255).astype(np.uint8))
    return read_image(path)


def wait(where: str) -> None:
    """Wait until the GPU has finished."""
    if where != "cpu":
        torch.cuda.synchronize()


def make_peer(size: str, image: np.ndarray, where: str) -> Any:
    """Build the model of mmpose with random weights and the batch-norm statistics of the image."""
    cfg = Config.fromfile(PEER_FOLDER / PEER_CONFIGS[size])
    packing = cfg.test_dataloader.dataset.pipeline[-1]
    packing.pop("extra_mapping_labels", None)  # the wheel's tiny config does not build with it
    torch.manual_seed(0)
    init_default_scope("mmpose")
    peer = init_model(cfg, None, where)
    norms = [module for module in peer.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    letterbox = fit_letterbox(image.shape[1::-1], (SIZES[size], SIZES[size]))
    inputs = torch.from_numpy(letterbox_image(image, letterbox)).permute(2, 0, 1)[None].float().to(where)
    with torch.no_grad():
        peer.train().head(peer.extract_feat(inputs))
    head = peer.head.head_module
    with torch.no_grad():
        for layers in (head.out_bbox, head.out_kpt):
            for layer in layers:
                layer.weight *= 0.05  # boxes of about a cell's size, so that NMS keeps most
    return peer.eval()


def make_ours(size: str, peer: Any, folder: Path, where: str) -> PoseInferencer:
    """Build the inferencer of this package with the weights of the peer."""
    path = folder / f"{size}.pth"
    torch.save({"state_dict": peer.state_dict()}, path)
    return PoseInferencer(f"yolox-pose_{size}_8xb32-300e_coco", path, where, score_thr=0.0)


def set_limits(pose: PoseInferencer, peer: Any, threshold: float) -> None:
    """Set the same score threshold on both sides, without a limit on the number of detections."""
    everything = 100_000  # mmpose has no limit after NMS
    pose.settings.update(score_thr=threshold, nms_thr=0.65, nms_pre=everything, max_per_img=everything)
    peer.test_cfg = {"score_thr": threshold, "nms_thr": 0.65, "nms_pre": everything}


def find_threshold(pose: PoseInferencer, image: np.ndarray, count: int) -> float:
    """Return a score threshold, half way between two scores, that about ``count`` detections exceed."""
    pose.settings.update(score_thr=0.0, nms_thr=0.65, nms_pre=100_000, max_per_img=100_000)
    scores = next(pose(image)).scores
    count = min(count, len(scores) - 1)
    return float(scores[count - 1] + scores[count]) / 2


def same_detections(pose: PoseInferencer, peer: Any, path: Path, threshold: float) -> bool:
    """Tell whether both detect the same to 0.05 px and 1e-4 in score, except for detections at the threshold."""
    ours, theirs = next(pose(str(path))), inference_bottomup(peer, str(path))[0].pred_instances
    keypoints, scores = (np.asarray(torch.as_tensor(found).cpu()) for found in (theirs.keypoints, theirs.bbox_scores))
    scores = scores.reshape(-1)
    found = 0
    for points, score in zip(ours.keypoints, ours.scores):
        near = np.flatnonzero(np.abs(scores - score) < MARGIN)
        distance = np.abs(keypoints[near] - points).max(axis=(1, 2)) if len(near) else np.array([np.inf])
        found += bool(distance.min() < 0.05)
    free = int((np.abs(ours.scores - threshold) < MARGIN).sum() + (np.abs(scores - threshold) < MARGIN).sum())
    return found >= len(ours) - free and abs(len(ours) - len(scores)) <= free


def against_peer(size: str, count: int, pose: PoseInferencer, peer: Any, path: Path, repeats: int) -> dict[str, Any]:
    """Measure whole calls on an image file."""
    threshold = find_threshold(pose, read_image(path), count)
    set_limits(pose, peer, threshold)
    equal = same_detections(pose, peer, path, threshold)
    kept = len(next(pose(str(path))))
    times = interleaved(
        {"ours": lambda: next(pose(str(path))), "peer": lambda: inference_bottomup(peer, str(path))}, repeats
    )
    name = f"{size} at {SIZES[size]}, {kept:,} kept: whole call"
    line = case(name, "ms", 1e3 * times["ours"], 1e3 * times["peer"], "mmpose inference_bottomup", equal=equal)
    return bounded(line, "ratio", at_least=SPEEDUP[count])


def around_network(size: str, count: int, pose: PoseInferencer, peer: Any, path: Path, repeats: int) -> list[dict]:
    """Measure everything besides decoding, resizing and the network."""
    where = pose.network.device.type
    set_limits(pose, peer, find_threshold(pose, read_image(path), count))
    letterbox = fit_letterbox(read_image(path).shape[1::-1], pose.preprocessing.size)
    model = pose.network.model

    def prepare() -> torch.Tensor:
        canvas = letterbox_image(read_image(path), letterbox)
        return model.data_preprocessor({"inputs": torch.from_numpy(canvas[None]).permute(0, 3, 1, 2)})["inputs"]

    def network(inputs: torch.Tensor) -> Any:
        with torch.inference_mode():
            outputs = model.head(model.extract_feat(inputs))
        wait(where)
        return outputs

    inputs = prepare()
    with torch.inference_mode():
        features = model.extract_feat(inputs)
    raw = network(inputs)

    def rest() -> Any:
        """Run a call without reading, resizing and the network, whose outputs are replaced."""
        model.extract_feat, model.head.head_module.forward = lambda _: features, lambda _: raw
        try:
            return pose._begin(images, plan)()
        finally:
            del model.extract_feat, model.head.head_module.forward

    plan = pose._plan(pose.settings, batch_size=1)
    images = list(pose._read(_sources(path), False, plan))
    kept = len(next(pose(str(path))))
    times = interleaved(
        {
            "rest": rest,
            "network": lambda: network(inputs),
            "floor": lambda: network(prepare()),
            "call": lambda: next(pose(str(path))),
        },
        repeats,
    )
    title = f"{size} at {SIZES[size]}, {kept:,} kept"
    milliseconds = {name: 1e3 * value for name, value in times.items()}
    own = "our network"
    post = case(
        f"{title}: post-processing", "ms", milliseconds["rest"], milliseconds["network"], own,
        share=round(times["rest"] / times["network"], 3),
    )  # fmt: skip
    call = case(
        f"{title}: whole call beside decoding, resizing and network", "ms", milliseconds["call"],
        milliseconds["floor"], own, share=round(times["call"] / times["floor"], 3),
    )  # fmt: skip
    if where != "cpu":
        return [post, call]
    return [bounded(post, "share", at_most=POST_SHARE), bounded(call, "share", at_most=CALL_SHARE)]


def moving_frames(image: np.ndarray, count: int, held: int) -> list[np.ndarray]:
    """Return frames in which a picture moves right by 4 px after every ``held`` frames and wraps around."""
    pictures = [np.roll(image, shift, axis=1) for shift in range(0, min(4 * count, image.shape[1]), 4)]
    return [pictures[frame // held % len(pictures)] for frame in range(count)]


def write_film(path: Path, frames: Sequence[np.ndarray]) -> Path:
    """Encode a video."""
    with VideoFiles() as files:
        for frame in frames:
            files.write(path, frame, 25)
    return path


def draw_film(results: Iterable[PoseResult], path: Path, processes: int) -> None:
    """Draw the results of a video and encode the pictures, as ``yolox-pose predict`` does."""
    with Plotter(processes) as plotter, VideoFiles() as files, BackgroundWorker(MAX_PENDING) as worker:
        for result in results:
            picture = plotter.plot(result)
            worker.submit(lambda picture, fps: files.write(path, picture(), fps), picture, result.fps)


def throughput(
    size: str, pose: PoseInferencer, peer: Any, path: Path, folder: Path, args: argparse.Namespace
) -> list[dict]:
    """Measure the images per second of a batch of files, and of a video that is drawn and written."""
    image, where = read_image(path), pose.network.device.type
    threshold = find_threshold(pose, image, ORDINARY)
    set_limits(pose, peer, threshold)
    pose.settings["max_per_img"] = PEOPLE
    batch = [str(path)] * (args.files or args.batch)
    frames = moving_frames(image, args.frames, args.held)
    video = write_film(folder / "film.mp4", frames)
    letterbox = fit_letterbox(image.shape[1::-1], pose.preprocessing.size)
    canvas = torch.from_numpy(letterbox_image(image, letterbox)).permute(2, 0, 1)
    inputs = pose.network.model.data_preprocessor({"inputs": [canvas] * args.batch})["inputs"]

    def network() -> None:
        with torch.inference_mode():
            pose.network.model.head(pose.network.model.extract_feat(inputs))
        wait(where)

    tracking = TrackerSettings(high_score=threshold, low_score=threshold)
    processes = plot_processes(args.frames)
    calls: dict[str, Callable[[], Any]] = {
        "network": network,
        "files": lambda: list(pose(batch, batch_size=args.batch)),
        "video": lambda: draw_film(
            pose(str(video), batch_size=args.batch, track=tracking), folder / "drawn.mp4", processes
        ),
        "encoder": lambda: write_film(folder / "encoded.mp4", frames),
    }
    times = interleaved(calls, args.video_repeats)
    alone = args.batch / times["network"]
    held = f", each picture {args.held} times" if args.held > 1 else ""
    rates = {
        f"{len(batch)} image files": len(batch) / times["files"],
        f"video of {len(frames)} frames{held}, tracked, drawn ({processes or 'no'} processes) and written": (
            len(frames) / times["video"]
        ),
    }
    lines = [
        case(
            f"{size} at {SIZES[size]}, {name}, batches of {args.batch}", "images/s", rate, alone, "our network",
            higher_is_better=True, share=round(rate / alone, 3),
        )
        for name, rate in rates.items()
    ]  # fmt: skip
    encoder = "ffmpeg" if find_ffmpeg() else "OpenCV"
    limit = case(
        f"{size} at {SIZES[size]}, encoder of {encoder} alone, which the video cannot exceed", "images/s",
        len(frames) / times["encoder"], alone, "our network", higher_is_better=True,
        share=round(len(frames) / times["encoder"] / alone, 3),
    )  # fmt: skip
    return [*(bounded(line, "share", at_least=RATE_SHARE[where]) for line in lines), limit]


def _sources(path: Path) -> list:
    from yolox_pose.io.sources import list_sources

    return list_sources(str(path))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and return its exit code, 1 if detections differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=["tiny", "s"])
    parser.add_argument("--repeats", type=int, default=7, help="calls of each; the median counts")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument(
        "--files", type=int, help="image files that are read (default: one batch, nothing overlaps then)"
    )
    parser.add_argument("--frames", type=int, default=48, help="of the video")
    parser.add_argument(
        "--held",
        type=int,
        default=1,
        help="frames of the video that show the same picture (in each new one random networks see other people)",
    )
    parser.add_argument("--video-repeats", type=int, default=3, help="of batches and videos")
    parser.add_argument("--rates-only", action="store_true", help="measure images a second alone")
    parser.add_argument("--device", default="cpu", choices=tuple(RATE_SHARE))
    parser.add_argument("--threads", type=int, help="threads of the network (default: torch's own)")
    add_json_option(parser)
    args = parser.parse_args(argv)
    torch.backends.cudnn.allow_tf32 = False
    if args.threads:
        torch.set_num_threads(args.threads)
    cases: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "picture.jpg"
        make_picture(path)
        for size in progress(args.sizes):
            fitting = folder / f"{size}.jpg"
            image = make_picture(fitting, SIZES[size], SIZES[size] * 3 // 4)
            peer = make_peer(size, image, args.device)
            pose = make_ours(size, peer, folder, args.device)
            if not args.rates_only:
                for count in SPEEDUP:
                    cases.append(against_peer(size, count, pose, peer, fitting, args.repeats))
                cases += around_network(size, 300, pose, peer, path, args.repeats)
            cases += throughput(size, pose, peer, path, folder, args)
    packages = ("numpy", "torch", "mmpose", "opencv-python-headless", "imageio-ffmpeg")
    machine, threads = device(args.device != "cpu"), torch.get_num_threads()
    report("inference", cases, packages=packages, json_file=args.json, on=machine, threads=threads)
    return int(any(line["equal"] is False for line in cases))


if __name__ == "__main__":
    raise SystemExit(main())

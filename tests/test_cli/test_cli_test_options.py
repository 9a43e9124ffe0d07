"""``tools/test.py --tta`` and ``--streaming`` on small synthetic data with weights that find something."""

import json

import pytest

from tests.crowds import data_options, make_crowd
from tests.tiny_models import write_checkpoint
from yolox_pose.cli import run
from yolox_pose.cli.test import main
from yolox_pose.synthetic.dataset import synthesize_crowd
from yolox_pose.synthetic.options import CrowdOptions

SMALL = ["test_dataloader.batch_size=2", "test_dataloader.dataset.input_size=96,96", "test_dataloader.num_workers=0",
         "test_dataloader.persistent_workers=False", "model.test_cfg.max_per_img=30"]  # fmt: skip


@pytest.fixture(scope="module")
def config(request):
    return str(request.config.rootpath / "configs" / "quickstart" / "yolox-pose_quickstart_160.py")


@pytest.fixture(scope="module")
def checkpoint(config, tmp_path_factory):
    return write_checkpoint(config, tmp_path_factory.mktemp("weights") / "random.pth")


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    return make_crowd(tmp_path_factory.mktemp("crowd") / "data", train=0, val=3)


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    folder = tmp_path_factory.mktemp("walks") / "data"
    options = CrowdOptions(size=(96, 96), people=(2, 3))
    synthesize_crowd(folder, options, train=0, val=2, frames=6, fps=10, progress=False)
    return folder


def evaluate(config, checkpoint, data, out, *arguments):
    command = [config, str(checkpoint), "--out", str(out), "--work-dir", str(out.parent / "log"), "--device", "cpu"]
    assert run(main, [*command, *arguments, "--cfg-options", *data_options(data), *SMALL]) == 0
    return {path.stem: json.loads(path.read_text()) for path in out.glob("*.json")}


@pytest.mark.slow
def test_one_view_equals_the_plain_evaluation_and_more_views_are_merged(config, checkpoint, crowd, tmp_path):
    plain = evaluate(config, checkpoint, crowd, tmp_path / "plain")
    one = evaluate(config, checkpoint, crowd, tmp_path / "one", "--tta", "--no-tta-flip")
    assert len(plain["predictions"]) > 20
    assert one == plain
    several = evaluate(config, checkpoint, crowd, tmp_path / "several", "--tta", "--tta-scales", "1", "1.4")
    assert set(several["metrics"]) == set(plain["metrics"])
    assert several["predictions"] != plain["predictions"] and len(several["predictions"]) > 5


@pytest.mark.slow
def test_streaming(config, checkpoint, walks, tmp_path, capsys):
    instant = evaluate(config, checkpoint, walks, tmp_path / "instant", "--streaming", "10", "--latency-ms", "0")
    metrics = instant["metrics"]
    names = {name.partition("/")[2] for name in metrics if name.startswith("coco/")}
    assert {"AP", "AR", "bbox_mAP"} <= names
    assert {name: metrics[f"streaming/{name}"] for name in names} == {name: metrics[f"coco/{name}"] for name in names}
    assert instant["predictions_streaming"] == instant["predictions"] != []
    assert metrics["streaming/processed"] == 1 and metrics["streaming/age_ms"] == 0

    late = evaluate(
        config, checkpoint, walks, tmp_path / "late", "--streaming", "10", "--latency-ms", "150", "--forecast"
    )
    assert {name: late["metrics"][f"coco/{name}"] for name in names} == {
        name: metrics[f"coco/{name}"] for name in names
    }
    assert late["metrics"]["streaming/processed"] == pytest.approx(10 / 12)  # all but frame 2 of 6
    first_frames = {1, 2, 7, 8}  # image ids at which nothing was finished
    assert first_frames.isdisjoint(p["image_id"] for p in late["predictions_streaming"])
    assert first_frames <= {p["image_id"] for p in late["predictions"]}
    assert late["metrics"]["streaming/latency_ms"] == pytest.approx(150)

    capsys.readouterr()
    measured = evaluate(config, checkpoint, walks, tmp_path / "measured", "--streaming", "1000")
    assert measured["metrics"]["streaming/latency_ms"] > 1
    assert "12 frames at 1000 a second" in capsys.readouterr().out


def as_posetrack(source, target, images):
    """A file as PoseTrack18 has them: ids of eleven digits, frame numbers that begin anywhere, frames without annotation,
    and, in the second sequence, a box far outside the picture.
    """
    content = json.loads((source / "annotations" / "val.json").read_text())
    numbers = {image["id"]: 10_000_000_000 * image["video_id"] + image["frame_id"] for image in content["images"]}
    unlabelled = {image["id"] for image in content["images"] if image["frame_id"] in (1, 3)}
    for image in content["images"]:
        vid, frame = f"{image.pop('video_id'):06d}", numbers[image["id"]]
        image.update(vid_id=vid, frame_id=frame, is_labeled=image["id"] not in unlabelled, nframes=6)
        image.update(file_name=f"{images}/{image['file_name']}", ignore_regions_x=[[0, 9]], ignore_regions_y=[[0, 9]])
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] not in unlabelled]
    content["annotations"][-1]["bbox"] = [-40, -40, 60, 60]
    for annotation in content["annotations"]:
        annotation.update(scores=[], bbox_head=[0, 0, 5, 5], iscrowd=bool(annotation["iscrowd"]))
    for entry, key in [(image, "id") for image in content["images"]] + [
        (annotation, "image_id") for annotation in content["annotations"]
    ]:
        entry[key] = numbers[entry[key]]
    target.write_text(json.dumps(content))
    return numbers


@pytest.mark.slow
def test_streaming_of_a_posetrack_file(config, checkpoint, walks, tmp_path, capsys):
    path = tmp_path / "posetrack.json"
    numbers = as_posetrack(walks, path, walks / "val")
    data = [f"test_dataloader.dataset.data_root={tmp_path}", f"test_dataloader.dataset.ann_file={path.name}",
            "test_dataloader.dataset.data_prefix.img=.", f"test_evaluator.ann_file={path}", *SMALL]  # fmt: skip
    command = [config, str(checkpoint), "--streaming", "10", "--latency-ms", "100", "--device", "cpu"]
    command += ["--out", str(tmp_path / "out"), "--work-dir", str(tmp_path / "log"), "--cfg-options", *data]
    assert run(main, command) == 1
    assert "beyond the 96x96 image" in capsys.readouterr().err
    assert run(main, [*command, "test_dataloader.dataset.on_error=skip"]) == 0
    assert "11 frames at 10 a second" in capsys.readouterr().out, "the frame of the bad box is left out"
    shown = json.loads((tmp_path / "out" / "predictions_streaming.json").read_text())
    # scored are frames 0, 2, 4, 5 without the bad one; nothing is finished at frame 0
    scored = {numbers[i] for i in (3, 5, 6, 9, 11)}
    assert {p["image_id"] for p in shown} == scored


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--tta-scales", "1.2"], 2, "--tta-scales and --no-tta-flip are options of --tta"),
        (["--tta", "--tta-scales", "0"], 2, "--tta-scales must be above 0"),
        (["--forecast"], 2, "--latency-ms and --forecast are options of --streaming"),
        (["--streaming", "30", "--tta"], 2, "--streaming runs in one process and without --tta"),
        (["--streaming", "30", "--latency-ms", "-1"], 2, "the latency must not be negative"),
        (["--streaming", "0", "--cfg-options", "{data}"], 2, "frames per second must be above 0"),
        (["--streaming", "30", "--cfg-options", "{data}"], 1, "image 1 has no video_id and no vid_id"),
        (["--tta", "--cfg-options", "{data}", "test_dataloader.dataset.pipeline=[]"], 2, "--tta needs a test pipeline"),
    ],
)
def test_wrong_calls_are_one_line(config, checkpoint, crowd, tmp_path, capsys, options, code, message):
    filled = []
    for option in options:
        filled += data_options(crowd) if option == "{data}" else [option]
    assert run(main, [config, str(checkpoint), "--work-dir", str(tmp_path), "--device", "cpu", *filled]) == code
    assert message in capsys.readouterr().err.strip().splitlines()[-1]

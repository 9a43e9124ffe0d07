"""The inferencer with a tiny model: order, batches, sizes, thresholds and clear errors."""

import sys
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from tests.tiny_models import write_checkpoint, write_config
from yolox_pose import PoseInferencer
from yolox_pose.checkpoints.model_info import Preprocessing, skeleton_from_metainfo
from yolox_pose.errors import DataError, UsageError
from yolox_pose.geometry.letterbox import fit_letterbox, letterbox_image
from yolox_pose.inference import inferencer
from yolox_pose.models.loading import load_model, resolve_device
from yolox_pose.structures.constants import DEFAULT_SCORE_THR
from yolox_pose.structures.skeleton import COCO_PERSON
from yolox_pose.tracking import TrackerSettings
from yolox_pose.tracking.assignment import load_solver
from yolox_pose.utils.dependencies import MissingDependencyError


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return config and checkpoint of a tiny pose model with a canvas of 128x96 px."""
    folder = tmp_path_factory.mktemp("model")
    config = write_config(folder)
    return config, write_checkpoint(config, folder / "tiny.pth")


@pytest.fixture(scope="module")
def pose(files):
    return PoseInferencer(*files, device="cpu", score_thr=0.05)


def picture(seed=0, height=90, width=120):
    """Return a smooth random image."""
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)


def same(first, second):
    np.testing.assert_allclose(first.keypoints, second.keypoints, atol=1e-3)
    np.testing.assert_allclose(first.boxes, second.boxes, atol=1e-3)
    np.testing.assert_allclose(first.scores, second.scores, atol=1e-5)


@pytest.fixture
def canvases(pose, monkeypatch):
    """Return the shapes of the inputs that the network gets, one list for each batch."""
    shapes, begin = [], pose.network.begin

    def record(batch, settings=None):
        shapes.append([image.canvas.shape[:2] for image in batch])
        return begin(batch, settings)

    monkeypatch.setattr(pose.network, "begin", record)
    return shapes


def test_the_size_of_the_input_is_an_option_of_model_and_call(files, pose, canvases):
    (usual,), (square,), (wide,) = (list(pose(picture(), size=size)) for size in (None, 64, (64, 160)))
    assert canvases == [[(96, 128)], [(64, 64)], [(64, 160)]]
    (again,) = PoseInferencer(*files, device="cpu", score_thr=0.05, size=(64, 160))(picture())
    same(wide, again)
    assert not np.array_equal(usual.boxes[:1], wide.boxes[:1]) and wide.size == (120, 90)
    for size, near in ((100, "96x96"), ((64, 100), "64x96"), (0, "32x32"), ((64,), "64")):
        with pytest.raises(UsageError, match=f"multiples of 32, such as {near}, not"):
            pose(picture(), size=size)
        with pytest.raises(UsageError, match="multiples of 32"):
            PoseInferencer(*files, device="cpu", size=size)


def test_tiles_are_seen_beside_the_whole_image_in_batches(files, pose, canvases):
    results = list(pose([picture(0, 180, 240), picture(1)], tiles=(1, 2), batch_size=2))
    assert [len(batch) for batch in canvases] == [2, 1, 2, 1], "an image and its two tiles at a time"
    for result, (width, height) in zip(results, ((240, 180), (120, 90))):
        assert result.size == (width, height) and len(result)
        assert (result.boxes >= 0).all() and (result.boxes <= [width, height, width, height]).all()
        assert (np.diff(result.scores) <= 0).all()
    (always,) = PoseInferencer(*files, device="cpu", score_thr=0.05, tiles=(1, 2))(picture(1))
    same(results[1], always)
    (none,), (plain,) = pose(picture(1), tiles=1), pose(picture(1))
    same(none, plain)
    with pytest.raises(UsageError, match="tiles must be at least 1"):
        pose(picture(), tiles=0)


def test_arrays_types_and_shapes(pose):
    (result,) = pose(picture())
    n = len(result)
    assert 0 < n <= 20 and result.size == (120, 90) and result.path is None
    assert result.keypoints.shape == (n, 17, 2) and result.keypoints.dtype == np.float32
    assert result.keypoint_scores.shape == (n, 17) and result.boxes.shape == (n, 4)
    assert result.scores.shape == (n,) and result.labels.dtype == np.int64 and result.track_ids is None
    assert (np.diff(result.scores) <= 0).all() and result.scores.min() >= 0.05
    assert (result.boxes >= 0).all() and (result.boxes <= [120, 90, 120, 90]).all()
    assert result.plot().shape == (90, 120, 3) and result.skeleton == COCO_PERSON and result.classes == ("person",)


def test_the_same_image_in_other_forms(pose, tmp_path):
    """Bytes once counted as numbers of cameras, and a tensor as a list of lists."""
    img = picture()
    (expected,) = pose(img)
    data = cv2.imencode(".png", img)[1].tobytes()
    (tmp_path / "a.png").write_bytes(data)
    rgb = torch.from_numpy(img[..., ::-1].copy()).permute(2, 0, 1)
    for source in (data, rgb, rgb / 255, rgb[None], img[None], img / 255):
        (result,) = pose(source)
        same(result, expected)
        assert np.array_equal(result.image, img)
    with open(tmp_path / "a.png", "rb") as file:
        (result,) = pose(file)
    assert result.name == "a.png" and result.image_id == "a"
    same(result, expected)
    with pytest.raises(DataError, match="undo the normalization"):
        pose([rgb, rgb / 127.5 - 1])


def test_every_nth_frame_of_a_video(pose, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (120, 90))
    for seed in range(5):
        writer.write(picture(seed))
    writer.release()
    results = list(pose(tmp_path, vid_stride=2))
    assert [result.frame for result in results] == [0, 2, 4]
    assert [result.time for result in results] == pytest.approx([0, 0.2, 0.4]) and results[0].fps == pytest.approx(5)


@pytest.fixture(scope="module")
def precise(files):
    """Return the same model in float64: in float32 another order of sums moves its far keypoints by a thousandth."""
    pose = PoseInferencer(*files, device="cpu", score_thr=0.05)
    pose.network.model.double()
    pose.network.dtype = torch.float64
    return pose


def test_batches_do_not_change_the_results_or_their_order(precise):
    images = [picture(i, 40 + 30 * i, 200 - 30 * i) for i in range(5)]
    alone = [next(precise(img)) for img in images]
    for batch_size in (2, 5, 8):
        together = list(precise(images, batch_size=batch_size))
        assert [r.size for r in together] == [img.shape[1::-1] for img in images]
        for first, second in zip(alone, together):
            same(first, second)


def test_beginning_a_batch_ahead_changes_nothing(precise, monkeypatch, tmp_path):
    """Batches begin as on a GPU: the next one before the results of the current one are requested."""
    paths = [tmp_path / f"{seed}.png" for seed in range(5)]
    for seed, path in enumerate(paths):
        cv2.imwrite(str(path), picture(seed))
    plain = list(precise(paths, batch_size=2))
    begun, begin = [], precise.network.begin
    monkeypatch.setattr(precise.network, "begin", lambda *args: begun.append(len(args[0])) or begin(*args))
    monkeypatch.setattr(precise.network, "ahead", 1)
    results = precise(paths, batch_size=2)
    first = next(results)
    deadline = time.monotonic() + 10
    while len(begun) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert begun[:2] == [2, 2], "the second batch is begun before more results are asked for"
    for mine, other in zip([first, *results], plain, strict=True):
        assert mine.path == other.path
        same(mine, other)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    given = []
    with pytest.raises(DataError, match=r"broken\.png"):
        given.extend(result.path for result in precise([*paths, broken], batch_size=5, skip_unreadable=False))
    assert given == paths, "the results before the error are given out"


@pytest.mark.parametrize("shape", [(90, 120), (300, 77), (33, 500), (1, 1), (20_000, 3)])
def test_results_are_in_pixels_of_the_source(pose, shape):
    """Results of an image equal those of its canvas, mapped back through the letterbox."""
    img = picture(3, *shape)
    letterbox = fit_letterbox(shape[::-1], (128, 96))
    (found,), (in_canvas,) = pose(img), pose(letterbox_image(img, letterbox))
    assert len(found) == len(in_canvas)
    np.testing.assert_allclose(found.keypoints, letterbox.inverse(in_canvas.keypoints), rtol=1e-4, atol=2e-2)


def test_files_are_read_lazily_and_in_order(pose, tmp_path):
    for i, name in enumerate(("c.png", "a.png", "b.png")):
        cv2.imwrite(str(tmp_path / name), picture(i))
    results = list(pose(tmp_path))
    assert [r.path.name for r in results] == ["a.png", "b.png", "c.png"]
    assert results[0].held_image is None and np.array_equal(results[0].image, picture(1))
    same(results[0], next(pose(picture(1))))


def test_unreadable_files(pose, tmp_path, caplog):
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    results = list(pose(tmp_path))
    assert [r.path.name for r in results] == ["a.png"]
    assert [s.path.name for s in pose.skipped] == ["b.png"] and "b.png is truncated" in caplog.text
    with pytest.raises(DataError, match=r"b\.png is truncated"):
        list(pose(tmp_path / "b.png"))
    with pytest.raises(DataError, match="truncated"):
        list(pose(tmp_path, skip_unreadable=False))
    with pytest.raises(UsageError, match="does not exist"):
        pose(tmp_path / "c.png")


def test_thresholds(files):
    few = PoseInferencer(*files, device="cpu", score_thr=0.05, max_per_img=3)
    strict = PoseInferencer(*files, device="cpu", score_thr=0.999)
    apart = PoseInferencer(*files, device="cpu", score_thr=0.05, nms_thr=0.0)
    (a,), (b,), (c,) = few(picture()), strict(picture()), apart(picture())
    assert len(a) == 3 and len(b) == 0 and b.keypoints.shape == (0, 17, 2)
    overlaps = [
        max(0, min(p[2], q[2]) - max(p[0], q[0])) * max(0, min(p[3], q[3]) - max(p[1], q[1])) > 1e-2
        for i, p in enumerate(c.boxes)
        for q in c.boxes[:i]
    ]
    assert len(c) > 1 and not any(overlaps)


@pytest.mark.parametrize(
    "options",
    [{"score_thr": 1.5}, {"nms_thr": -0.1}, {"max_per_img": 0}, {"batch_size": 0}, {"device": "abacus"}],
)
def test_options_out_of_range(files, options):
    with pytest.raises(UsageError, match=str(next(iter(options.values())))):
        PoseInferencer(*files, **options)


def test_devices(monkeypatch):
    assert resolve_device("cpu").type == "cpu" and isinstance(resolve_device("auto"), torch.device)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="no CUDA GPU"):
        resolve_device("cuda:1")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UsageError, match="Apple"):
        resolve_device("mps")
    assert resolve_device("auto").type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UsageError, match="only 1"):
        resolve_device("cuda:1")


def test_missing_files(files, tmp_path):
    config, checkpoint = files
    with pytest.raises(UsageError, match="nowhere"):
        PoseInferencer(tmp_path / "nowhere.py", checkpoint)
    with pytest.raises(UsageError, match=r"nowhere\.pth"):
        PoseInferencer(config, tmp_path / "nowhere.pth")


def test_config_without_a_letterbox(files, tmp_path):
    config = tmp_path / "c.py"
    config.write_text(files[0].read_text().replace("LetterboxResize", "Elsewhere"))
    with pytest.raises(UsageError, match="LetterboxResize"):
        PoseInferencer(config, files[1])


def test_checkpoint_that_does_not_fit(files, tmp_path):
    config, checkpoint = files
    content = torch.load(checkpoint, weights_only=True)
    weights = content["state_dict"]
    half = {key: value for key, value in weights.items() if not key.startswith("neck.")}
    missing = sum("num_batches" not in key for key in weights) - sum("num_batches" not in key for key in half)
    torch.save({"state_dict": half}, tmp_path / "half.pth")
    with pytest.raises(DataError, match=rf"{missing} are missing \(such as 'neck\."):
        PoseInferencer(config, tmp_path / "half.pth")
    other = {**weights, "head.head_module.out_kpt.0.bias": torch.zeros(28)}
    torch.save({"state_dict": other}, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"1 have another shape \(such as 'head"):
        PoseInferencer(config, tmp_path / "other.pth")
    torch.save({"state_dict": {"a": 1}}, tmp_path / "numbers.pth")
    (tmp_path / "text.pth").write_text("hello")
    for name in ("numbers.pth", "text.pth"):
        with pytest.raises(DataError, match=name):
            PoseInferencer(config, tmp_path / name)


def test_weights_that_are_not_used_are_told(files, tmp_path, caplog):
    content = torch.load(files[1], weights_only=True)
    torch.save({"state_dict": {**content["state_dict"], "extra.weight": torch.zeros(1)}}, tmp_path / "w.pth")
    PoseInferencer(files[0], tmp_path / "w.pth", device="cpu")
    assert "1 tensors are not used, such as 'extra.weight'" in caplog.text


def test_a_config_runs_on_random_weights_only_if_asked_to(files, caplog):
    for config in (files[0], Config.fromfile(files[0])):
        with pytest.raises(UsageError, match=r"has no weights; pass a checkpoint too, or weights='random'$"):
            PoseInferencer(config, device="cpu")
        pose = PoseInferencer(config, device="cpu", score_thr=0.0, weights="random")
        assert "random" in caplog.text and len(next(pose(picture()))) > 0
    for arguments in ((files[0], files[1]), (None, None)):
        with pytest.raises(UsageError, match="weights='random': only 'random' is possible, with a config"):
            PoseInferencer(*arguments, device="cpu", weights="random")
    with pytest.raises(UsageError, match="weights='none': only 'random' is possible"):
        PoseInferencer(files[0], device="cpu", weights="none")


def test_the_checkpoint_wins_over_the_config(files, tmp_path, caplog):
    skeleton = {"names": [f"point_{i}" for i in range(17)], "links": [[0, 1]]}
    meta = {"classes": ["dancer"], "skeleton": skeleton, "preprocessing": {"centered": False}}
    checkpoint = write_checkpoint(files[0], tmp_path / "w.pth", meta)
    pose = PoseInferencer(files[0], checkpoint, device="cpu", score_thr=0.0)
    assert pose.classes == ("dancer",) and pose.skeleton.names[16] == "point_16" and pose.skeleton.links == ((0, 1),)
    assert pose.preprocessing == Preprocessing((128, 96), centered=False) and "right and bottom" in caplog.text
    wrong = write_checkpoint(files[0], tmp_path / "x.pth", {"skeleton": {"names": ["one"]}})
    with pytest.raises(DataError, match="1 keypoints, the model 17"):
        PoseInferencer(files[0], wrong, device="cpu")


def test_skeleton_from_the_metainfo_of_our_data_sets():
    from yolox_pose.datasets.coco import dataset_metainfo

    assert skeleton_from_metainfo(dataset_metainfo("coco", ["person"], COCO_PERSON)) == COCO_PERSON
    assert skeleton_from_metainfo(dataset_metainfo("coco", ["person"], None)) is None


def test_colors_of_a_data_set_are_drawn():
    from yolox_pose.datasets.coco import dataset_metainfo

    metainfo = dataset_metainfo("coco", ["person"], COCO_PERSON)
    metainfo["keypoint_colors"] = np.tile([250, 20, 10], (17, 1))  # RGB, an array as in MMPose's checkpoints
    skeleton = skeleton_from_metainfo(metainfo)
    assert skeleton.keypoint_colors == ((10, 20, 250),) * 17 and skeleton.link_colors == COCO_PERSON.link_colors
    metainfo["skeleton_link_colors"] = [[1, 2, 3]] * 19
    assert skeleton_from_metainfo(metainfo).link_colors == ((3, 2, 1),) * 19
    with pytest.raises(ValueError, match="1 point_colors, expected 17"):
        replace(COCO_PERSON, point_colors=((1, 2, 3),))


def test_fused_convolutions_compute_the_same(precise, files):
    plain = load_model(*files, "cpu").double()
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in precise.network.model.modules())
    inputs = torch.from_numpy(letterbox_image(picture(), fit_letterbox((120, 90), (128, 96)))).permute(2, 0, 1)[None]
    with torch.inference_mode():
        fused, exact = (model.head(model.extract_feat(inputs.double())) for model in (precise.network.model, plain))
    for mine, other in zip(fused, exact):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_half_precision_finds_the_same(pose, files):
    half = PoseInferencer(*files, device="cpu", score_thr=0.05, half=True)
    exact, rough = next(pose(picture())), next(half(picture()))
    assert rough.keypoints.dtype == np.float32 and abs(len(exact) - len(rough)) <= 2
    assert np.abs(exact.scores[:5] - rough.scores[:5]).max() < 0.1, "bfloat16 has 8 bits"


def test_classes_are_chosen_before_the_best_are(tmp_path):
    config = write_config(tmp_path, skeleton=None, num_classes=3, centered=False)
    checkpoint = write_checkpoint(config, tmp_path / "w.pth")
    options = {"device": "cpu", "score_thr": 0.01, "max_per_img": 5}
    (found,) = PoseInferencer(config, checkpoint, classes=["class 2", 1], **options)(picture())
    assert len(found) == 5 and set(found.labels.tolist()) <= {1, 2}
    for classes in (["horse"], [3], []):
        with pytest.raises(UsageError, match="class"):
            PoseInferencer(config, checkpoint, classes=classes, **options)


def test_video_frames_are_tracked(pose, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (120, 90))
    for _ in range(5):
        writer.write(picture())
    writer.release()
    results = list(pose(tmp_path / "v.avi", batch_size=2, track=True, smooth=True))
    assert [r.frame for r in results] == list(range(5)) and results[3].time == pytest.approx(0.3)
    assert results[2].image_id == "v_000002" and results[2].image.shape == (90, 120, 3)
    assert all(sorted(r.track_ids) == sorted(results[0].track_ids) for r in results)
    assert [r.track_ids for r in pose(tmp_path / "v.avi")] == [None] * 5


def test_other_numbers_of_keypoints_and_classes(tmp_path):
    skeleton = {"names": ["a", "b", "c"]}
    config = write_config(tmp_path, skeleton=skeleton, num_classes=2, size=(64, 64), centered=False)
    pose = PoseInferencer(config, write_checkpoint(config, tmp_path / "w.pth"), device="cpu", score_thr=0.01)
    (result,) = pose(picture())
    assert result.keypoints.shape[1:] == (3, 2) and result.classes == ("class 0", "class 1")
    assert result.plot().shape == (90, 120, 3) and len(result.to_coco(1)[0]["keypoints"]) == 9


def test_plain_detection(tmp_path):
    config = write_config(tmp_path, skeleton=None, num_classes=3, centered=False)
    pose = PoseInferencer(config, write_checkpoint(config, tmp_path / "w.pth"), device="cpu", score_thr=0.01)
    (result,) = pose(picture())
    assert len(result) and result.keypoints.shape == (len(result), 0, 2) and result.skeleton is None
    assert "bbox" in result.to_coco(1)[0] and result.plot().shape == (90, 120, 3)


def test_nms_types(files):
    image = picture()
    common = {"device": "cpu", "score_thr": 0.05, "max_per_img": 300}

    def count(**options):
        return len(next(PoseInferencer(*files, **options, **common)(image)))

    assert count() == count(nms_type="box") <= count(nms_type="box_oks")
    assert count(nms_type="oks") <= count(nms_type="oks", oks_thr=0.9) > 0
    assert count(soft_nms="linear") >= count() and count(soft_nms="gaussian", soft_sigma=0.1) > 0
    assert PoseInferencer(*files, nms_type="oks", oks_thr=0.9, **common).settings == {
        "score_thr": 0.05, "max_per_img": 300, "nms_type": "oks", "oks_thr": 0.9,
    }  # fmt: skip
    for options, message in (
        ({"nms_type": "pose"}, "nms_type must be one of box, oks, box_oks, not 'pose'"),
        ({"soft_nms": "hard"}, "soft_nms must be one of none, linear, gaussian"),
        ({"oks_thr": 1.5}, "oks_thr must be between 0 and 1, not 1.5"),
        ({"soft_sigma": 0.0}, "soft_sigma must be above 0"),
    ):
        with pytest.raises(UsageError, match=message):
            PoseInferencer(*files, device="cpu", **options)


def test_tracking_asks_the_network_for_low_score_detections(pose, monkeypatch):
    asked, begin = [], pose.network.begin

    def record(batch, settings):
        asked.append(settings["score_thr"])
        return begin(batch, settings)

    monkeypatch.setattr(pose.network, "begin", record)
    for score_thr, track in ((0.4, False), (0.4, True), (0.05, True), (0.4, TrackerSettings(low_score=0.2))):
        monkeypatch.setitem(pose.settings, "score_thr", score_thr)
        list(pose(picture(), track=track))
    assert asked == [0.4, 0.1, 0.05, 0.2]


def test_tracks_start_at_a_lower_score_unless_one_is_given(files, monkeypatch):
    started = []
    monkeypatch.setattr(
        inferencer, "track_results", lambda results, track, *_: started.append(track.high_score) or results
    )
    default, given = (PoseInferencer(*files, device="cpu", score_thr=score_thr) for score_thr in (None, 0.5))
    assert default.settings["score_thr"] == DEFAULT_SCORE_THR == 0.5
    for pose, options in ((default, {}), (given, {}), (default, {"score_thr": 0.6})):
        list(pose(picture(), track=True, **options))
    assert started == [TrackerSettings().high_score, 0.5, 0.6]


def test_tracking_without_scipy_is_refused_at_once(pose, monkeypatch, request):
    request.addfinalizer(load_solver.cache_clear)
    load_solver.cache_clear()
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert len(list(pose(picture()))) == 1, "scipy is needed for tracking only"
    with pytest.raises(MissingDependencyError, match=r"pip install scipy$"):
        pose(picture(), track=True)


def test_settings_of_one_call(pose):
    """The settings of a call hold for that call only."""
    before = dict(pose.settings)
    (usual,), (few,), (strict,) = pose(picture()), pose(picture(), max_per_img=3), pose(picture(), score_thr=0.999)
    (loose,) = pose(picture(), nms_thr=1.0, max_per_img=200)
    assert len(few) == 3 and len(strict) == 0 and len(loose) > len(usual) > 3
    same(next(pose(picture(), classes=["person"])), usual)
    same(next(pose(picture())), usual)
    assert pose.settings == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_thr": 1.5}, "score_thr must be between 0 and 1"),
        ({"nms_thr": -1}, "nms_thr"),
        ({"max_per_img": 0}, "at least 1"),
        ({"classes": ["dog"]}, "no class 'dog'"),
        ({"classes": []}, "classes is empty"),
    ],
)
def test_settings_of_one_call_are_checked_at_once(pose, options, message):
    with pytest.raises(UsageError, match=message):
        pose(picture(), **options)
    with pytest.raises(UsageError, match=message):
        pose.track(picture(), **options)


def test_ids_last_over_the_calls_of_a_loop(pose):
    """Each call used to start at 1, so that the ids of a loop meant nothing."""
    pose.reset_tracks()
    first = pose.track(picture())
    again = pose.track(picture())
    assert len(first) and sorted(first.track_ids) == sorted(again.track_ids) == list(range(1, len(first) + 1))
    (third,) = pose(picture(), persist=True)
    assert sorted(third.track_ids) == sorted(first.track_ids), "both forms follow the same persons"
    turned = pose.track(np.ascontiguousarray(picture()[::-1]))
    assert turned.track_ids.max() > first.track_ids.max(), "new persons do not take the ids of others"

    (alone,) = pose(np.ascontiguousarray(picture()[::-1]), track=True)
    assert alone.track_ids.min() == 1, "without persist every call starts at 1"
    assert 1 in pose.track(picture(), persist=False).track_ids
    pose.reset_tracks()
    assert 1 in pose.track(picture()).track_ids


def test_track_takes_one_frame(pose, tmp_path):
    for source in ([picture(), picture()], tmp_path / "v.avi", 0):
        (tmp_path / "v.avi").touch()
        with pytest.raises(UsageError, match="one frame per call"):
            pose.track(source)


def test_timings_of_each_image(pose, monkeypatch):
    results = list(pose([picture(), picture(1)], batch_size=2))
    for result in results:
        assert min(result.timings) > 0 and sum(result.timings) < 60_000
    assert results[0].timings.network == results[1].timings.network, "a batch is shared"
    monkeypatch.setattr(pose.network, "ahead", 1)
    assert next(pose([picture(), picture()])).timings.postprocess == 0


def test_a_loop_that_tracks_single_frames_is_warned_once(files, caplog):
    pose = PoseInferencer(*files, device="cpu")
    pose(picture(), track=True)
    assert "id 1" not in caplog.text, "a single call may be meant"
    pose([picture(), picture()], track=True)
    pose.track(picture())
    pose(picture(), persist=True)
    assert "id 1" not in caplog.text
    pose(picture(), track=True)
    pose(picture(), track=True)
    assert caplog.text.count("track=True starts at id 1 in every call") == 1 and "pose.track(frame)" in caplog.text

"""``demo/demo.py`` as a user runs it, with a tiny model."""

import csv
import inspect
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from argparse import ArgumentTypeError
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.tiny_models import write_checkpoint, write_config
from yolox_pose import PoseInferencer
from yolox_pose.cli import run
from yolox_pose.cli.inference_options import parse_sides
from yolox_pose.cli.predict import build_parser, main
from yolox_pose.errors import UsageError
from yolox_pose.inference.outputs import plan_outputs
from yolox_pose.io.sources import Source
from yolox_pose.runtime import load
from yolox_pose.structures.constants import DEFAULT_SCORE_THR


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the options that name a tiny model."""
    folder = tmp_path_factory.mktemp("model")
    config = write_config(folder)
    return [
        "--config",
        str(config),
        "--checkpoint",
        str(write_checkpoint(config, folder / "tiny.pth")),
        "--device",
        "cpu",
    ]


@pytest.fixture
def photos(tmp_path):
    """Return a folder with two images, one of them named like COCO's, and a damaged one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("000000000139.jpg", "b.png"):
        img = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (120, 90), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / name), img)
    (folder / "damaged.jpg").write_bytes((folder / "000000000139.jpg").read_bytes()[:400])
    return folder


def demo(repo_root, cwd, *args):
    """Run demo/demo.py in a process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(repo_root / "demo" / "demo.py"), *map(str, args)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


def test_folder_to_pictures_and_json(repo_root, tmp_path, photos, model):
    done = demo(
        repo_root, tmp_path, photos, *model, "--score-thr", "0.05", "--json", "out/results.json", "--out", "out"
    )
    assert done.returncode == 0, done.stderr
    assert "2 images" in done.stdout and "1 could not be read" in done.stdout
    assert str(tmp_path / "out") in done.stdout and "damaged.jpg is truncated" in done.stderr
    assert "3/3" in done.stderr or "2/3" in done.stderr, "there is a progress bar"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["000000000139.jpg", "b.png", "results.json"]
    drawn, source = cv2.imread(str(tmp_path / "out" / "b.png")), cv2.imread(str(photos / "b.png"))
    assert drawn.shape == source.shape and (drawn != source).any()
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {r["image_id"] for r in results} == {139, "b"} and len(results[0]["keypoints"]) == 51


def test_help_is_fast_and_imports_no_torch(repo_root, tmp_path):
    done = demo(repo_root, tmp_path, "--help")
    assert done.returncode == 0 and "--checkpoint" in done.stdout
    probe = (
        "import sys, contextlib, io\n"
        "from yolox_pose.cli.predict import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['--help'])\n"
        "print([name for name in ('torch', 'mmengine', 'cv2') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", probe], cwd=repo_root, capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == "[]", found.stderr


def failed(capsys, *args) -> str:
    """Run the command in this process, expect one error line, and return the exit code and the line."""
    code = run(main, [str(arg) for arg in args])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return f"{code} {lines[0]}"


def test_existing_results_are_kept_unless_told(photos, model, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "b.png").write_text("mine")
    assert failed(capsys, photos / "b.png", *model, "--out", out).startswith("2 error: ")
    assert (out / "b.png").read_text() == "mine"
    assert run(main, [str(photos / "b.png"), *model, "--out", str(out), "--overwrite"]) == 0
    assert cv2.imread(str(out / "b.png")) is not None
    existing = tmp_path / "r.json"
    existing.write_text("mine")
    assert "exists already" in failed(capsys, photos / "b.png", *model, "--out", tmp_path / "x", "--json", existing)
    assert existing.read_text() == "mine" and not (tmp_path / "x").exists()


def test_inputs_are_never_written(photos, model, capsys):
    before = {p: p.read_bytes() for p in photos.iterdir()}
    assert "is an input" in failed(capsys, photos, *model, "--out", photos, "--overwrite")
    assert {p: p.read_bytes() for p in photos.iterdir()} == before


def test_all_images_unreadable(photos, model, tmp_path, capsys):
    out = tmp_path / "out"
    assert "1 error: image" in failed(capsys, photos / "damaged.jpg", *model, "--out", out, "--json", out / "r.json")
    assert not out.exists()
    (photos / "worse.jpg").write_text("text")
    assert run(main, [str(photos / "damaged.jpg"), str(photos / "worse.jpg"), *model, "--out", str(out)]) == 1


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"--checkpoint": "nowhere.pth"}, "2 error: checkpoint"),
        ({"--config": "nowhere.py"}, "2 error: "),
        ({"--score-thr": "2"}, "2 error: score_thr"),
        ({"--device": "abacus"}, "2 error: unknown device"),
        ({"--json": "results.txt"}, "2 error: --json"),
        ({"--zoom": "0"}, "2 error: --zoom"),
        ({"--size": "100"}, "2 error: size must be height and width in multiples of 32, such as 96x96, not 100x100"),
        ({"--tiles": "0x2"}, "2 error: tiles must be at least 1"),
        ({"--line-width": "0"}, "2 error: --line-width must be above 0 and at most 100, not 0.0"),
        ({"--csv": "table.txt"}, "2 error: --csv"),
        ({"--frames": "0"}, "2 error: --frames"),
        ({"--vid-stride": "0"}, "2 error: --vid-stride"),
        ({"--classes": "horse"}, "2 error: the model has no class 'horse'"),
        ({"--compare": "nowhere.json"}, "2 error: annotations"),
    ],
)
def test_bad_options(photos, model, tmp_path, capsys, changes, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {**dict(zip(model[::2], model[1::2])), **changes}
    assert failed(capsys, photos / "b.png", *[v for pair in options.items() for v in pair]).startswith(message)


def test_missing_input(model, capsys):
    assert "2 error: nowhere.jpg does not exist" in failed(capsys, "nowhere.jpg", *model)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems always have a display")
def test_show_without_a_display(photos, model, capsys, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert "no display" in failed(capsys, photos / "b.png", *model, "--show")


def test_compare_puts_ground_truth_beside_and_gives_ids(photos, model, tmp_path):
    annotation = {"id": 1, "image_id": 77, "category_id": 9, "bbox": [10, 10, 60, 60], "keypoints": [40, 40, 2] * 17}
    content = {
        "images": [{"id": 77, "file_name": "b.png"}],
        "categories": [{"id": 9, "name": "person"}],
        "annotations": [annotation],
    }
    (tmp_path / "truth.json").write_text(json.dumps(content))
    out = tmp_path / "out"
    arguments = [str(photos / "b.png"), *model, "--out", str(out), "--json", str(out / "r.json"), "--score-thr", "0.05"]
    assert run(main, [*arguments, "--compare", str(tmp_path / "truth.json")]) == 0
    assert cv2.imread(str(out / "b.png")).shape == (110, 240, 3)
    assert {(r["image_id"], r["category_id"]) for r in json.loads((out / "r.json").read_text())} == {(77, 9)}


def test_names_of_outputs_do_not_collide():
    inputs = [Source(Path(p)) for p in ("a/1.jpg", "b/1.JPG", "c/x.gif", "d/x.png", "e/x_2.png")]
    inputs += [
        Source(Path("f/1.mov"), is_video=True),
        Source(address="http://h/y.jpg"),
        Source(camera=0, is_video=True),
    ]
    outputs = plan_outputs(inputs, Path("out"))
    names = ["1.jpg", "1_2.JPG", "x.png", "x_2.png", "x_2_2.png", "1.mp4", "y.jpg", "camera0.mp4"]
    assert [o.picture.name for o in outputs.values()] == names
    assert [o.image_id for o in outputs.values()] == [1, "1_2", "x", "x_2", "x_2_2", "1", "y", "camera0"]


def test_a_second_run_numbers_its_folder(photos, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = [
        str(photos / "b.png"),
        *model,
        "--json",
        "predictions/r.json",
        "--csv",
        "t.csv",
        "--crops",
        "--score-thr",
        "0.4",
    ]
    for folder in ("predictions", "predictions2", "predictions3"):
        assert run(main, arguments) == 0
        assert {"b.png", "r.json", "crops"} == {path.name for path in (tmp_path / folder).iterdir()}
        assert str(tmp_path / folder) in capsys.readouterr().out
        (tmp_path / "t.csv").unlink()
    assert run(main, [*arguments, "--overwrite"]) == 0
    assert not (tmp_path / "predictions4").exists()
    assert run(main, [str(photos / "000000000139.jpg"), *model]) == 0
    assert (tmp_path / "predictions" / "000000000139.jpg").is_file(), "other pictures join the first folder"
    assert "t.csv exists already" in failed(capsys, *arguments)
    assert not (tmp_path / "predictions4").exists()


def test_an_error_leaves_no_empty_folder(photos, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "no class 'horse'" in failed(capsys, photos / "b.png", *model, "--classes", "horse", "--json", "a/b/r.json")
    assert {path.name for path in tmp_path.iterdir()} == {"photos"}


def test_quiet_prints_warnings_alone(repo_root, photos, model, tmp_path):
    done = demo(repo_root, tmp_path, photos, *model, "--quiet", "--out", "out")
    assert done.returncode == 0 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert "damaged.jpg is truncated" in line and len(list((tmp_path / "out").iterdir())) == 2


def test_one_image_is_no_images(photos, model, tmp_path, capsys):
    assert run(main, [str(photos / "b.png"), *model, "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("1 image, ")


def test_a_table_of_an_image_without_persons(photos, model, tmp_path):
    arguments = [
        str(photos / "b.png"),
        *model,
        "--score-thr",
        "0.999",
        "--no-pictures",
        "--csv",
        str(tmp_path / "t.csv"),
    ]
    assert run(main, arguments) == 0
    (header,) = (tmp_path / "t.csv").read_text().splitlines()
    assert header.startswith("image_id,frame,time,")


def test_subfolders_and_every_nth_frame(photos, model, tmp_path):
    (photos / "deep").mkdir()
    film(photos / "deep" / "film.avi")
    table = tmp_path / "r.json"
    arguments = [str(photos), *model, "--out", str(tmp_path / "out"), "--json", str(table), "--score-thr", "0.05"]
    assert run(main, [*arguments, "--recursive", "--vid-stride", "5"]) == 0
    frames = {f"film_{i:06d}" for i in (0, 5, 10)}
    assert {entry["image_id"] for entry in json.loads(table.read_text())} == {139, "b", *frames}
    drawn = cv2.VideoCapture(str(tmp_path / "out" / "film.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and drawn.get(cv2.CAP_PROP_FPS) == pytest.approx(2)


def test_examples_name_the_installed_command():
    assert "yolox-pose predict photo.jpg" in build_parser().format_help()
    assert "demo.py" not in build_parser().format_help()


def interrupt_after(monkeypatch, images):
    """Let Ctrl-C arrive after a number of images."""

    def interrupted(items, *args, **options):
        yield from itertools.islice(items, images)
        raise KeyboardInterrupt

    monkeypatch.setattr("yolox_pose.cli.predict.track", interrupted)


def test_ctrl_c_says_what_is_kept(photos, model, tmp_path, monkeypatch, capsys):
    interrupt_after(monkeypatch, 1)
    out = tmp_path / "out"
    assert run(main, [str(photos), *model, "--out", str(out)]) == 130
    assert "interrupted; the results of 1 of 3 images are kept" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["000000000139.jpg"]
    interrupt_after(monkeypatch, 0)
    assert run(main, [str(photos), *model, "--out", str(tmp_path / "other")]) == 130
    assert "interrupted before the first result; nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_half_a_model_is_refused(photos, model, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = failed(capsys, photos / "b.png", *model[:2])
    assert message.startswith("2 error: --config C and --checkpoint W go together")
    message = failed(capsys, photos / "b.png", *model[2:])
    assert message.startswith("2 error: ") and "holds no config: add --config C" in message
    assert not (tmp_path / "predictions").exists(), "an error leaves no empty folder"


def test_folder_that_cannot_be_made(photos, model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be created"):
        main([str(photos / "b.png"), *model, "--out", str(tmp_path / "file" / "out")])


def film(path, frames=12):
    """Write a video of moving clouds."""
    rng = np.random.default_rng(0)
    clouds = cv2.resize(rng.integers(0, 255, (6, 12, 3), dtype=np.uint8), (240, 90), interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (120, 90))
    for i in range(frames):
        shift = 2 * (i % 61)
        writer.write(np.ascontiguousarray(clouds[:, shift : shift + 120]))
    writer.release()
    return path


def test_video_with_tracks_to_video_tables_and_crops(tmp_path, model, monkeypatch, capsys):
    source = film(tmp_path / "film.avi")
    monkeypatch.chdir(tmp_path)
    arguments = [
        str(source), *model, "--out", "out", "--track", "--smooth", "--score-thr", "0.4", "--max-per-img", "4",
        "--json", "out/r.json", "--csv", "out/t.csv", "--crops", "--batch-size", "5",
    ]  # fmt: skip
    assert run(main, arguments) == 0
    printed = capsys.readouterr()
    assert "12 images" in printed.out and "12/12" in printed.err
    drawn = cv2.VideoCapture(str(tmp_path / "out" / "film.mp4"))
    assert drawn.get(cv2.CAP_PROP_FRAME_COUNT) == 12 and drawn.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    results = json.loads((tmp_path / "out" / "r.json").read_text())
    assert {r["image_id"] for r in results} == {f"film_{i:06d}" for i in range(12)}
    assert all(r["track_id"] >= 1 for r in results)
    with open(tmp_path / "out" / "t.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(results) and rows[0]["class"] == "person" and rows[-1]["frame"] == "11"
    for row, entry in zip(rows, results):
        assert int(row["track_id"]) == entry["track_id"] and float(row["nose_x"]) == entry["keypoints"][0]
    crops = sorted((tmp_path / "out" / "crops").iterdir())
    assert len(crops) == len(results) and crops[0].name.startswith("film_000000_id")


def test_pictures_that_processes_draw_are_the_same(tmp_path, model, photos, monkeypatch):
    """Processes draw as on a machine with many cores, for a video and for images."""
    (photos / "damaged.jpg").unlink()
    arguments = [
        str(film(tmp_path / "film.avi")),
        str(photos),
        *model,
        "--track",
        "--score-thr",
        "0.3",
        "--zoom",
        "1.5",
    ]
    for folder, processes in (("here", 0), ("elsewhere", 2)):
        monkeypatch.setattr("yolox_pose.inference.plotter.plot_processes", lambda _, processes=processes: processes)
        assert main([*arguments, "--out", str(tmp_path / folder)]) == 0
    for name in ("film.mp4", "b.png"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "elsewhere" / name).read_bytes()


def test_what_is_drawn_can_be_chosen(tmp_path, model, photos):
    options = ["--no-boxes", "--no-tags", "--line-width", "5", "--kpt-thr", "0.01", "--score-thr", "0.05"]
    assert main([str(photos / "b.png"), *model, "--out", str(tmp_path / "out"), *options]) == 0
    (result,) = PoseInferencer(model[1], model[3], "cpu", score_thr=0.05)(photos / "b.png")
    expected = result.plot(show_boxes=False, show_tags=False, line_width=5, kpt_thr=0.01)
    assert len(result) and np.array_equal(cv2.imread(str(tmp_path / "out" / "b.png")), expected)


def test_size_and_tiles_reach_the_model(tmp_path, model, photos):
    options = ["--size", "64x96", "--tiles", "1x2", "--tile-overlap", "0.5", "--score-thr", "0.05", "--no-pictures"]
    assert main([str(photos / "b.png"), *model, "--json", str(tmp_path / "r.json"), *options]) == 0
    pose = PoseInferencer(model[1], model[3], "cpu", score_thr=0.05, size=(64, 96), tiles=(1, 2), tile_overlap=0.5)
    (result,) = pose(photos / "b.png")
    assert json.loads((tmp_path / "r.json").read_text()) == result.to_coco("b") != []


@pytest.mark.parametrize(("text", "sides"), [("640", 640), ("384x640", (384, 640)), ("384,640", (384, 640))])
def test_sides_are_one_number_or_two(text, sides):
    assert parse_sides(text) == sides


@pytest.mark.parametrize("text", ["", "x", "64x", "1x2x3", "-64", "6.5"])
def test_other_sides_are_refused(text):
    with pytest.raises(ArgumentTypeError, match="neither a number such as 640 nor two such as 384x640"):
        parse_sides(text)


def test_predict_and_serve_agree_on_the_threshold(repo_root):
    """Default lowest score of a drawn detection; about two thirds of the drawn poses are right."""
    page = (repo_root / "yolox_pose" / "serve" / "page" / "index.html").read_text()
    assert build_parser().parse_args(["x.jpg"]).score_thr is None and DEFAULT_SCORE_THR == 0.5
    assert re.search(r'id="score_thr"[^>]* value="0.5"', page)
    for function in (PoseInferencer, load):
        assert inspect.signature(function).parameters["score_thr"].default is None


def test_first_frames_without_pictures(tmp_path, model):
    source = film(tmp_path / "film.avi")
    arguments = [
        str(source),
        *model,
        "--out",
        str(tmp_path / "out"),
        "--frames",
        "3",
        "--no-pictures",
        "--classes",
        "0",
    ]
    assert run(main, [*arguments, "--json", str(tmp_path / "r.json")]) == 0
    results = json.loads((tmp_path / "r.json").read_text())
    assert {r["image_id"] for r in results} <= {f"film_{i:06d}" for i in range(3)}
    assert not (tmp_path / "out").exists()
    assert run(main, arguments) == 2, "there is nothing to write"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for single processes")
def test_ctrl_c_leaves_whole_files(repo_root, tmp_path, model):
    source = film(tmp_path / "film.avi", frames=3000)
    command = [sys.executable, str(repo_root / "demo" / "demo.py"), str(source), *model, "--out", str(tmp_path / "out")]
    table = tmp_path / "r.json"
    process = subprocess.Popen(
        [*command, "--json", str(table), "--batch-size", "1", "--score-thr", "0.4"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # ignored where the tests run in the background
    )
    deadline = time.monotonic() + 200
    while not (table.exists() and table.stat().st_size > 5000) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert isinstance(json.loads(table.read_text()), list), "the file is whole while it grows"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    images = int(out.split()[0].replace(",", ""))
    assert process.returncode == 130 and f"interrupted; the results of {images:,} of 3,000 images are kept" in err, err
    assert len({r["image_id"] for r in json.loads(table.read_text())}) <= images < 3000
    frames = cv2.VideoCapture(str(tmp_path / "out" / "film.mp4")).get(cv2.CAP_PROP_FRAME_COUNT)
    assert abs(frames - images) <= 1

"""``tools/train.py`` as users run it: in processes of its own, on a small synthetic crowd."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config

from tests.crowds import data_options, make_crowd
from yolox_pose.cli import run
from yolox_pose.cli.train import build_parser, main
from yolox_pose.config import load_config, parse_options
from yolox_pose.engine.launch import check_sync_bn
from yolox_pose.engine.training import find_latest
from yolox_pose.errors import UsageError
from yolox_pose.visualization.curves import read_history

ROOT = Path(__file__).resolve().parents[2]
CONFIG = "configs/quickstart/yolox-pose_quickstart_160.py"
SMALL = ["train_dataloader.batch_size=4", "val_dataloader.batch_size=4", "train_dataloader.dataset.input_size=96,96",
         "val_dataloader.dataset.input_size=96,96", "param_scheduler.0.end=3", "log_level=INFO"]  # fmt: skip


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    return make_crowd(tmp_path_factory.mktemp("crowd") / "data")


def train(
    crowd, work_dir, *options, epochs=2, arguments=(), tool=("tools/train.py",), launcher=(), check=True, config=CONFIG
):
    """Run a small training in a process of its own."""
    settings = [*data_options(crowd), *SMALL, f"train_cfg.max_epochs={epochs}", "train_cfg.val_interval=2", *options]
    command = [
        sys.executable,
        *launcher,
        *tool,
        config,
        "--work-dir",
        str(work_dir),
        *arguments,
        "--cfg-options",
        *settings,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done


def weights(work_dir, epoch):
    return torch.load(Path(work_dir) / f"epoch_{epoch}.pth", weights_only=False)


def assert_equal(a, b, where="checkpoint"):
    """Same nested values, tensors to the bit."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_equal(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b)):
            assert_equal(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


@pytest.mark.parametrize(
    "kind, launcher, device, told",
    [
        ("torch", "pytorch", "cpu", "sync_bn=torch needs GPUs"),
        ("torch", "none", "cuda", "add --launcher pytorch or slurm"),
        ("apex", "pytorch", "cuda", "there is no 'apex'; choose from torch, mmcv"),
    ],
)
def test_batch_norm_over_processes_is_refused_where_it_would_not_be_done(kind, launcher, device, told):
    with pytest.raises(UsageError, match=told):
        check_sync_bn(Config({"sync_bn": kind}), launcher, device)


def test_batch_norm_over_processes_is_let_through_where_it_can_be_done():
    check_sync_bn(Config({"sync_bn": "torch"}), "pytorch", "cuda")
    check_sync_bn(Config({}), "none", "cpu")


def test_the_command_tells_that_sync_bn_needs_gpus(capsys):
    assert run(main, [CONFIG, "--device", "cpu", "--cfg-options", "sync_bn=torch"]) == 2
    assert "sync_bn=torch needs GPUs" in capsys.readouterr().err


@pytest.mark.slow
def test_a_resumed_run_is_the_uninterrupted_run_to_the_bit(crowd, tmp_path):
    """Also over the switch to the last phase, and with another number of workers."""
    phase = ["default_hooks.training_phase.num_last_epochs=1", "train_dataloader.dataset.skip_transforms=YOLOXPoseHSV,"]
    train(crowd, tmp_path / "whole", *phase, "default_hooks.checkpoint.max_keep_ckpts=5", epochs=3)
    log = sorted((tmp_path / "whole").rglob("*.log"))[0].read_text()
    assert "Epoch 3: last phase" in log
    first = tmp_path / "whole" / "epoch_2.pth"
    train(crowd, tmp_path / "parts", *phase, "train_dataloader.num_workers=2", epochs=3,
          arguments=("--resume", str(first)))  # fmt: skip
    whole, parts = weights(tmp_path / "whole", 3), weights(tmp_path / "parts", 3)
    for key in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers"):
        assert_equal(whole[key], parts[key], key)
    assert "Epoch 3: last phase" in sorted((tmp_path / "parts").rglob("*.log"))[-1].read_text()


@pytest.mark.slow
def test_a_run_is_resumed_with_another_schedule_or_told_why_not(crowd, tmp_path):
    every, resume = "default_hooks.checkpoint.interval=1", ("--resume",)
    train(crowd, tmp_path, every, epochs=1)
    first = weights(tmp_path, 1)["param_schedulers"][1]["T_max"]

    schedule = (every, "param_scheduler.1.T_max=18")  # of 9
    longer = train(crowd, tmp_path, *schedule, epochs=2, arguments=resume)
    assert (longer.stdout + longer.stderr).count("epoch 2 continues with those of the config, learning rate") == 1
    assert weights(tmp_path, 2)["param_schedulers"][1]["T_max"] == 2 * first

    finished = train(crowd, tmp_path, *schedule, epochs=2, arguments=resume)
    assert (finished.stdout + finished.stderr).count(
        "already trained for 2 of 2 epochs; raise train_cfg.max_epochs"
    ) == 1

    frozen = train(crowd, tmp_path, every, epochs=3, arguments=(*resume, "--freeze-detector"), check=False)
    assert frozen.returncode == 2
    (error,) = (line for line in frozen.stderr.splitlines() if line.startswith("error:"))
    assert "epoch_2.pth was trained with" in error and "--load-from" in error


@pytest.mark.slow
def test_a_detector_is_kept_also_by_a_resumed_run(crowd, tmp_path):
    every = ["default_hooks.checkpoint.interval=1", "default_hooks.checkpoint.max_keep_ckpts=5"]
    train(crowd, tmp_path / "start", *every, epochs=1)
    start = ("--load-from", str(tmp_path / "start" / "epoch_1.pth"), "--distill")
    train(crowd, tmp_path / "whole", *every, arguments=start)
    logged = [json.loads(line) for line in sorted((tmp_path / "whole").rglob("scalars.json"))[0].open()]
    kept = [line["loss_distill_score"] + line["loss_distill_box"] for line in logged if "loss_distill_score" in line]
    assert kept and 0 < kept[-1] < 10
    first = str(tmp_path / "whole" / "epoch_1.pth")
    train(crowd, tmp_path / "parts", *every, arguments=("--resume", first, "--distill"))
    assert_equal(weights(tmp_path / "whole", 2)["state_dict"], weights(tmp_path / "parts", 2)["state_dict"])


@pytest.mark.slow
@pytest.mark.parametrize("amp", [False, True], ids=["float32", "bfloat16"])
def test_a_frozen_detector_stays_what_it_is_to_the_bit_while_poses_are_learned(crowd, tmp_path, amp):
    train(crowd, tmp_path / "start", epochs=1)
    start = tmp_path / "start" / "epoch_1.pth"
    arguments = ("--load-from", str(start), "--freeze-detector", *["--amp"] * amp)
    train(crowd, tmp_path / "frozen", arguments=arguments)
    before, after = weights(tmp_path / "start", 1)["state_dict"], weights(tmp_path / "frozen", 2)["state_dict"]
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    branch = {key for key in before if key.split(".")[2] in ("conv_pose", "out_kpt", "out_kpt_vis")}
    assert changed == branch


@pytest.mark.slow
def test_mixed_precision_on_cpu_trains_and_validates(crowd, tmp_path):
    train(crowd, tmp_path, arguments=("--amp",))
    scalars = sorted(tmp_path.rglob("scalars.json"))[0].read_text().splitlines()
    records = [json.loads(line) for line in scalars]
    assert any("loss_kpt" in record for record in records)
    assert any("coco/AP" in record for record in records)


@pytest.mark.slow
def test_the_rate_is_scaled_with_the_batch_size(crowd, tmp_path):
    rates = {}
    for name, arguments in (("plain", ()), ("scaled", ("--auto-scale-lr",))):
        train(crowd, tmp_path / name, "auto_scale_lr.base_batch_size=16", "param_scheduler=[]", epochs=1,
              arguments=arguments)  # fmt: skip
        rates[name] = weights(tmp_path / name, 1)["optimizer"]["param_groups"][0]["lr"]
    assert rates["scaled"] == pytest.approx(rates["plain"] * 4 / 16)


@pytest.mark.slow
def test_two_processes_train_and_count_every_image_once(crowd, tmp_path):
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--master_port", "29611")
    done = train(crowd, tmp_path, arguments=("--launcher", "pytorch", "--device", "cpu"), launcher=launcher)
    assert (tmp_path / "epoch_2.pth").is_file()
    assert "images of" not in done.stderr  # the metric warns where an image is missing


@pytest.mark.slow
def test_the_config_runs_from_mmpose_own_tool(crowd, tmp_path):
    import mmpose

    tool = (str(Path(mmpose.__file__).parent / ".mim" / "tools" / "train.py"),)
    done = train(crowd, tmp_path, epochs=1, tool=tool)
    assert 'registry with scope "yolox_pose"' not in done.stdout + done.stderr  # MMEngine misses none
    assert (tmp_path / "epoch_1.pth").is_file()


@pytest.mark.slow
def test_spawned_workers_do_not_start_the_training_again(crowd, tmp_path):
    """Windows and macOS start workers this way: each imports the script that was run."""
    spawn = ("env_cfg.mp_cfg.mp_start_method=spawn", "train_dataloader.num_workers=1")
    train(crowd, tmp_path, *spawn, epochs=1)
    assert (tmp_path / "epoch_1.pth").is_file()
    assert len(list(tmp_path.glob("*/*.log"))) == 1


@pytest.mark.parametrize(
    "script", sorted([*ROOT.glob("tools/*.py"), *ROOT.glob("demo/*.py")]), ids=lambda path: path.name
)
def test_scripts_do_nothing_when_they_are_imported(script):
    last = ast.parse(script.read_text()).body[-1]
    assert isinstance(last, ast.If) and ast.unparse(last.test) == "__name__ == '__main__'"


def log_of(work_dir):
    return "".join(path.read_text() for path in sorted(Path(work_dir).rglob("*.log")))


WATCHING = {
    "command line": (("--val-pictures", "2"), ()),
    "config": ((), ("default_hooks.val_pictures.type=yolox_pose.ValPicturesHook", "default_hooks.val_pictures.num=2")),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", WATCHING)
def test_a_training_can_be_watched(crowd, tmp_path, form):
    arguments, options = WATCHING[form]
    options = (*options, "train_cfg.val_interval=1", "default_hooks.logger.interval=1", "default_hooks.checks.epochs=1")
    train(crowd, tmp_path, *options, arguments=arguments)
    assert cv2.imread(str(tmp_path / "curves.png")).shape == (800, 1200, 3)
    names = [sorted(path.name for path in (tmp_path / "val_pictures" / f"epoch_{i}").iterdir()) for i in (1, 2)]
    assert names[0] == names[1] and len(names[0]) == 2
    log = log_of(tmp_path)
    assert re.search(r"positives: \d\.\d+  unmatched: \d\.\d+  oks: 0\.\d+", log)
    assert log.count("coco/AP is still 0 after 1 epochs") == 1  # it is in the second, too
    history = read_history(tmp_path)
    assert len(history.train) == 6 and [record["step"] for record in history.val] == [1, 2]
    assert all(0 < record["oks"] < 1 and record["positives"] >= 1 for record in history.train)


@pytest.mark.slow
def test_labels_without_keypoints_are_said_before_the_first_step(crowd, tmp_path):
    content = json.loads((crowd / "annotations" / "train.json").read_text())
    for annotation in content["annotations"]:
        annotation["keypoints"], annotation["num_keypoints"] = [0] * 51, 0
    (tmp_path / "bare.json").write_text(json.dumps(content))
    train(crowd, tmp_path / "run", f"train_dataloader.dataset.ann_file={tmp_path / 'bare.json'}", epochs=1)
    log = log_of(tmp_path / "run")
    assert log.count("annotations has a labelled keypoint, so boxes are all that is learned") == 1
    assert log.index("labelled keypoint") < log.index("Epoch(train)")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["command line", "config"])
def test_tensorboard_gets_losses_and_figures(crowd, tmp_path, form):
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="an extra")
    own = tmp_path / "own.py"
    backends = "visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])"
    own.write_text(f"_base_ = {str(ROOT / CONFIG)!r}\n{backends}\n")
    config, arguments = (CONFIG, ("--tensorboard",)) if form == "command line" else (str(own), ())
    train(crowd, tmp_path, "default_hooks.logger.interval=1", arguments=arguments, config=config)
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    found = loader.EventAccumulator(str(events.parent))
    found.Reload()
    assert {"loss_kpt", "oks", "coco/AP"} <= set(found.Tags()["scalars"])
    assert len(found.Scalars("loss")) == 6


def test_tensorboard_that_is_missing_is_said_before_data_are_read(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert run(main, [CONFIG, "--tensorboard", "--work-dir", str(tmp_path)]) == 2
    assert "pip install tensorboard" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("size", ["nano"])
def test_the_improved_recipe_trains(crowd, tmp_path, size):
    options = ["val_dataloader.num_workers=0", "val_dataloader.persistent_workers=False", "train_dataloader.num_workers=0",
               "train_dataloader.persistent_workers=False", "model.data_preprocessor.random_size=None"]  # fmt: skip
    config = f"yolox-pose_{size}_8xb32-300e_coco-improved"
    train(crowd, tmp_path, *options, "train_cfg.dynamic_intervals=None", epochs=1, config=config)
    assert "loss_kpt_l1" in log_of(tmp_path) and (tmp_path / "last_checkpoint").is_file()


@pytest.mark.parametrize("size", ["nano", "tiny", "s"])
def test_the_improved_recipe_is_the_published_one_with_three_changes(size):
    published, improved = (load_config(f"yolox-pose_{size}_8xb32-300e_coco{tail}") for tail in ("", "-improved"))
    head, clip = improved.model.head, improved.optim_wrapper.clip_grad
    assert (head.pop("assigner"), head.pop("loss_weights")) == ({"dynamic_k": "iou"}, {"keypoint_l1": 3.0})
    assert clip.pop("max_norm") == 35 and published.optim_wrapper.clip_grad.pop("max_norm") == 0.1
    for key in published:
        assert improved[key] == published[key], key


BAD = {
    "no config": (["nowhere.py"], 2, "nowhere.py"),
    "no weights": ([CONFIG, "--load-from", "nothing.pth"], 2, "'nothing.pth' does not exist"),
    "resume in an empty folder": ([CONFIG, "--work-dir", "{tmp}", "--resume"], 2, "there is no checkpoint in {tmp}"),
    "resume from a missing file": ([CONFIG, "--resume", "epoch_9.pth"], 2, "'epoch_9.pth' does not exist"),
    "nothing to keep": ([CONFIG, "--distill"], 2, "add --load-from W"),
    "no detector": ([CONFIG, "--distill", "nothing.pth"], 2, "'nothing.pth' does not exist"),
    "nothing to freeze": ([CONFIG, "--freeze-detector"], 2, "add --load-from W"),
    "nothing but a detector": (
        ["yolox_nano_8xb8-300e_coco", "--load-from", "bundled", "--freeze-detector"],
        2,
        "the config's model has none",
    ),
    "no pictures": ([CONFIG, "--work-dir", "{tmp}", "--val-pictures", "0"], 2, "must be at least 1, not 0"),
    "no CUDA": ([CONFIG, "--device", "cuda"], 2, "torch finds no CUDA device"),
    "malformed option": ([CONFIG, "--cfg-options", "lr"], 2, "'lr' is not of the form KEY=VALUE"),
    "both starts": ([CONFIG, "--resume", "--load-from", "x"], 2, "exclude each other"),
    "no batch size to scale from": ([CONFIG, "--auto-scale-lr"], 2, "auto_scale_lr.base_batch_size"),
    "no annotations": (
        [CONFIG, "--work-dir", "{tmp}", "--cfg-options", "train_dataloader.dataset.ann_file=gone.json"],
        1,
        "gone.json",
    ),
}


def test_a_detector_is_frozen_or_held(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([CONFIG, "--load-from", "bundled", "--freeze-detector", "--distill"])
    assert "--distill: not allowed with argument --freeze-detector" in capsys.readouterr().err


@pytest.mark.parametrize("case", BAD, ids=list(BAD))
def test_bad_input_is_one_clear_line(case, tmp_path, capsys):
    arguments, code, message = BAD[case]
    if case == "no CUDA" and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert run(main, [argument.format(tmp=tmp_path) for argument in arguments]) == code
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert message.format(tmp=tmp_path) in lines[0]


def test_options_keep_the_spaces_of_paths():
    options = parse_options(["a.data_root=/my photos/x", "lr=0.1", "size=[96, 64]", "betas=0.9,0.99"])
    assert options == {"a.data_root": "/my photos/x", "lr": 0.1, "size": [96, 64], "betas": [0.9, 0.99]}


def test_help_lists_what_the_guides_name():
    text = build_parser().format_help()
    for option in ("--work-dir", "--resume", "--amp", "--launcher", "--auto-scale-lr", "--seed", "--cfg-options"):
        assert option in text


def test_latest_checkpoint_of_a_folder(tmp_path):
    with pytest.raises(UsageError, match="no checkpoint"):
        find_latest(tmp_path)
    (tmp_path / "epoch_3.pth").write_bytes(b"")
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_3.pth"))
    assert find_latest(tmp_path) == str(tmp_path / "epoch_3.pth")

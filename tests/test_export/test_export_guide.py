"""The commands of docs/export.md."""

import re
import shlex
from importlib.util import find_spec

import cv2
import pytest

from tests.test_export.export_models import pictures, write_model
from yolox_pose.cli import run
from yolox_pose.cli.export import build_parser, main, read_options
from yolox_pose.cli.predict import main as predict
from yolox_pose.export.options import FORMATS


def commands(repo_root, program):
    text = (repo_root / "docs" / "export.md").read_text(encoding="utf-8")
    return [
        shlex.split(line, comments=True) for line in re.findall(rf"^    {re.escape(program)} (.+)$", text, re.MULTILINE)
    ]


def test_every_format_and_layout_of_the_guide_is_known(repo_root):
    options = [
        read_options(build_parser().parse_args(arguments))
        for arguments in commands(repo_root, "python tools/export.py")
    ]
    assert {one.format for one in options} == set(FORMATS) and len(options) >= 9


@pytest.mark.slow
def test_the_commands_of_the_guide_run(repo_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config, checkpoint = write_model(tmp_path, calm=True)
    for folder in ("images", "photos"):
        (tmp_path / folder).mkdir()
        for i, picture in enumerate(pictures()):
            cv2.imwrite(str(tmp_path / folder / f"{i}.png"), picture)
    values = {"CONFIG": str(config), "CHECKPOINT": str(checkpoint), "IMAGES": "images"}
    done = []
    for arguments in commands(repo_root, "python tools/export.py"):
        options = read_options(build_parser().parse_args(arguments))
        modules = (*FORMATS[options.format].modules, *(("nncf",) if options.calibration else ()))
        if not all(map(find_spec, modules)):
            continue
        assert run(main, [values.get(word, word) for word in arguments]) == 0, capsys.readouterr().err
        done.append(options)
    assert done, "torchscript needs nothing more"
    if any(options.format == "onnx" for options in done):
        (arguments,) = commands(repo_root, "yolox-pose predict")
        assert run(predict, arguments) == 0 and (tmp_path / "results.json").is_file()

"""Dependencies are checked in one line, ``yolox-pose install`` plans what is missing, and wheels hold the configs."""

import shutil
import subprocess
import sys
import zipfile
from importlib import metadata

import pytest

from yolox_pose.cli import install, run
from yolox_pose.errors import YOLOXPoseError
from yolox_pose.utils import dependencies
from yolox_pose.utils.dependencies import Dependency, MissingDependencyError

STACK = {
    "torch": "2.13.0",
    "numpy": "2.4.6",
    "opencv-python-headless": "4.14.0.94",
    "setuptools": "84.2.1",
    "mmengine-lite": "0.10.7",
    "mmcv-lite": "2.1.0",
    "mmdet": "3.3.0",
    "mmpose": "1.3.2",
    "pycocotools": "2.0.11",
    "hotcoco": "1.3.0",
    **dict.fromkeys(
        ["matplotlib", "scipy", "pillow", "packaging", "json-tricks", "munkres", "six", "shapely"]
        + ["terminaltables", "tqdm"],
        "9.9",
    ),
}


@pytest.fixture
def installed(monkeypatch):
    """What ``importlib.metadata`` finds: start from the whole stack and change it."""
    versions = dict(STACK)

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(dependencies, "find_spec", lambda name: None)
    monkeypatch.setattr(install, "_prefers_cpu", lambda: False)
    return versions


def arguments(commands):
    """Return what follows ``python -m pip`` in every command."""
    assert all(command[:3] == [sys.executable, "-m", "pip"] for command in commands)
    return [command[3:] for command in commands]


def test_this_environment_has_everything():
    dependencies.require()
    assert all(found.version for found in map(dependencies.look_up, dependencies.TRAINING))


def test_what_is_missing_or_old_is_one_line_with_the_command(installed):
    del installed["mmpose"]
    installed["torch"] = "2.1.0+cpu"
    with pytest.raises(MissingDependencyError) as error:
        dependencies.require()
    message = str(error.value)
    assert "torch 2.1.0+cpu is too old (at least 2.6 is needed)" in message
    assert "mmpose is missing" in message
    assert "yolox-pose install" in message
    assert "\n" not in message
    assert isinstance(error.value, ImportError)


def test_forks_and_full_builds_count(installed):
    for name in ("mmengine-lite", "mmcv-lite", "mmdet", "opencv-python-headless"):
        del installed[name]
    installed.update({"onedl-mmengine": "0.10.12", "onedl-mmcv": "2.3.6", "onedl-mmdetection": "3.5.1"})
    installed["opencv-python"] = "4.10.0.84"
    dependencies.require()


def test_a_module_without_metadata_counts():
    assert dependencies.look_up(Dependency("json", "", ("no-such-distribution",))).problem == ""
    missing = dependencies.look_up(Dependency("no_such_module", "", ("no-such-distribution",)))
    assert missing.problem == "no-such-distribution is missing"


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("2.13.0+cpu", (2, 13, 0)), ("2.0.0rc4", (2, 0, 0)), ("4.14.0.94", (4, 14, 0, 94)), ("84", (84,))],
)
def test_version_numbers(version, numbers):
    assert dependencies.numbers(version) == numbers


def test_nothing_to_install(installed):
    assert install.plan("modern") == []


def test_everything_to_install_takes_two_calls_from_wheels_only(installed):
    installed.clear()
    first, second = arguments(install.plan("modern"))
    assert first[:2] == ["install", "--only-binary=:all:"]
    assert "torch==2.13.0" in first
    assert second == [
        "install",
        "--only-binary=:all:",
        "--no-deps",
        "mmcv-lite==2.1.0",
        "mmdet==3.3.0",
        "mmpose==1.3.2",
    ]


def test_one_missing_package_keeps_the_other_pins(installed):
    del installed["hotcoco"]
    (command,) = arguments(install.plan("modern"))
    assert {"hotcoco>=1.3,<2", "numpy>=2,<3", "torch==2.13.0"} <= set(command)


def test_what_another_distribution_provides_is_left_alone(installed):
    del installed["mmcv-lite"], installed["mmpose"], installed["opencv-python-headless"], installed["six"]
    installed.update({"mmcv": "2.1.0", "opencv-python": "4.11.0.86"})
    first, second = arguments(install.plan("modern"))
    assert not [line for line in first if line.startswith("opencv")]
    assert second[-2:] == ["mmdet==3.3.0", "mmpose==1.3.2"]


def test_classic_after_modern_changes_numpy(installed):
    (command,) = arguments(install.plan("classic"))
    assert {"numpy==1.26.4", "setuptools==80.9.0", "xtcocotools==1.14.3"} <= set(command)


def test_builds_of_torch(installed, monkeypatch):
    installed["torch"] = "2.13.0+cpu"
    assert install.plan("modern", cpu=True) == []
    uninstall, reinstall = arguments(install.plan("modern", cuda=True))
    assert uninstall == ["uninstall", "--yes", "torch"]
    assert "torch==2.13.0" in reinstall
    assert install.CPU_INDEX not in reinstall

    del installed["torch"]
    assert install.CPU_INDEX in install.plan("modern", cpu=True)[0]
    assert install.CPU_INDEX not in install.plan("modern")[0]
    monkeypatch.setattr(install, "_prefers_cpu", lambda: True)
    assert install.CPU_INDEX in install.plan("modern")[0]


def test_dry_run_shows_and_runs_nothing(installed, monkeypatch, capsys):
    del installed["six"]
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: pytest.fail("pip was run"))
    assert install.main(["--dry-run"]) == 0
    assert "-m pip install --only-binary=:all:" in capsys.readouterr().out


def test_pip_that_fails_is_one_line(installed, monkeypatch, capsys):
    del installed["six"]
    failed = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: failed)
    assert run(install.main, []) == YOLOXPoseError.exit_code
    assert capsys.readouterr().err == "error: pip failed with exit code 1; see its message above\n"


def test_classic_names_the_python_it_needs(installed, monkeypatch, capsys):
    monkeypatch.setattr(install, "_CLASSIC_PYTHON", ())
    assert run(install.main, ["--classic"]) == 2
    assert "--classic needs Python 3.10 or 3.11" in capsys.readouterr().err


def test_without_the_stack_an_import_names_the_command(repo_root, tmp_path):
    code = "import sys; sys.path.insert(0, sys.argv[1]); import yolox_pose; import yolox_pose.registry"
    command = [sys.executable, "-S", "-I", "-c", code, str(repo_root)]  # -S: no site-packages
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("yolox_pose.utils.dependencies.MissingDependencyError: ")
    assert "torch is missing" in last
    assert "yolox-pose install" in last
    assert "During handling" not in result.stderr


@pytest.mark.slow
def test_a_wheel_holds_configs_and_requirements(repo_root, tmp_path):
    source, wheels, site = tmp_path / "source", tmp_path / "wheels", tmp_path / "site"
    source.mkdir()
    skip = shutil.ignore_patterns("__pycache__")
    for folder in ("yolox_pose", "configs", "requirements", "demo"):
        shutil.copytree(repo_root / folder, source / folder, ignore=skip)
    for file in ("setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE"):
        shutil.copy(repo_root / file, source)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels)]
    subprocess.run([*build, str(source)], check=True, capture_output=True)
    (wheel,) = wheels.glob("yolox_pose-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
        names = archive.namelist()
    expected = {path.relative_to(repo_root / "configs").as_posix() for path in (repo_root / "configs").rglob("*.py")}
    assert {name.removeprefix("yolox_pose/_configs/") for name in names if "_configs/" in name} == expected
    assert "yolox_pose/_requirements/modern.txt" in names
    photos = {
        f"yolox_pose/_demo/{path.name}" for path in (repo_root / "demo").iterdir() if path.suffix in (".jpg", ".md")
    }
    assert {name for name in names if "/_demo/" in name} == photos and len(photos) == 3
    folder = repo_root / "yolox_pose" / "weights"
    suffixes = (".pth", ".md", ".py", ".tsv", ".onnx", ".json")
    files = [path.relative_to(repo_root) for path in folder.rglob("*") if path.suffix in suffixes]
    weights = {path.as_posix() for path in files}
    assert {name for name in names if name.startswith("yolox_pose/weights/")} == weights
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from yolox_pose.cli.main import main; main(['install', '--dry-run']);"
        "from yolox_pose.config import config_files, find_config;"
        "assert all(find_config(f) == find_config(f.stem) for f in config_files()) and config_files(), config_files()"
    )
    subprocess.run([sys.executable, "-I", "-c", code, str(site)], cwd=tmp_path, check=True)

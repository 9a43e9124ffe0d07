"""Options and checks that several commands share."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from yolox_pose.errors import UsageError
from yolox_pose.utils.dependencies import has_torch_stack, require_torch_stack
from yolox_pose.utils.text import did_you_mean
from yolox_pose.weights import BUNDLED, BUNDLED_NAME, find_bundled, find_model, names_weights

if TYPE_CHECKING:
    from mmengine.config import Config

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")


class CommandParser(argparse.ArgumentParser):
    """Parser that suggests the closest choice for a mistyped one. Its subparsers do so as well."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end the process with exit code 2."""
        mistyped = re.search(r"invalid choice: '([^']*)' \(choose from (.*)\)", message)
        if mistyped:
            message += did_you_mean(mistyped[1], re.findall(r"[\w.-]+", mistyped[2]))
        super().error(message)


def add_cfg_options(parser: argparse._ActionsContainer) -> None:
    """Add ``--cfg-options``, which may be given several times."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change settings of the config, e.g. train_dataloader.batch_size=8 optim_wrapper.optimizer.lr=0.001; "
        "lists as key=a,b or key='[a,b]'; may be given several times",
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options`` and ``--seed``."""
    add_cfg_options(parser)
    parser.add_argument("--seed", type=int, help="random seed (default: the config's)")


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``."""
    parser.add_argument(
        "--data", metavar="DIR", help="data folder that replaces the config's; the files inside keep their names"
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--device``, ``--launcher`` and the option that torchrun may pass."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="device (default: auto)")
    parser.add_argument(
        "--launcher",
        choices=LAUNCHERS,
        default="none",
        help="launcher of a distributed run: pytorch (torchrun), slurm or mpi (default: none)",
    )
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)


def default_work_dir(config: Config, name: str) -> str:
    """Return the work dir of a config, or a folder that is named after the config."""
    return config.get("work_dir") or str(Path("work_dirs") / Path(name).stem)


def check_file(path: str | Path, kind: str) -> Path:
    """Return the path of a file that must exist.

    Args:
        path: Path of the file.
        kind: Kind of file, for the message, such as ``checkpoint``.

    Raises:
        UsageError: If the file does not exist.
    """
    file = Path(path)
    if not file.is_file():
        problem = "is not a file" if file.exists() else "does not exist"
        raise UsageError(f"{kind} {str(path)!r} {problem}")
    return file


def choose_model(config: str | None, checkpoint: str | None, backend: str | None = None) -> tuple[str, Path | None]:
    """Return the config and the weights of a command, and announce the bundled model where neither is given.

    Args:
        config: Value of ``--config``.
        checkpoint: Value of ``--checkpoint``.
        backend: Runtime of exported models, which asks for the ONNX file of the bundled model.

    Returns:
        Config and weights, or the ONNX file of the bundled model and None (:func:`yolox_pose.weights.find_bundled`).

    Raises:
        UsageError: If a config is given alone, the weights do not exist, or no config belongs to them.
    """
    if checkpoint is None and names_weights(config):
        config, checkpoint = None, config
    if checkpoint is not None and (config, checkpoint) != (None, BUNDLED_NAME):
        require_torch_stack()  # before weights are downloaded
        return find_model(config, checkpoint)
    if config is not None:
        raise UsageError("--config C and --checkpoint W go together; leave both out to use the bundled model")
    model, weights = find_bundled(backend)
    form = "" if weights is not None else " as ONNX"
    install = "" if weights is not None or has_torch_stack() else "'yolox-pose install', then "
    print(
        f"model: {BUNDLED.path.stem} from the package{form} (better ones: {install}--checkpoint s, or see 'yolox-pose weights "
        "list')"
    )
    return model, weights

"""Name, check and write the output files of a prediction run: pictures, videos, tables, single persons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import NamedTuple

import numpy as np

from yolox_pose.coco.ground_truth import GroundTruth
from yolox_pose.errors import UsageError
from yolox_pose.inference.plotter import MAX_PENDING, Plotter
from yolox_pose.inference.results import PoseResult
from yolox_pose.inference.writers import CocoFile, CsvFile, ResultFile, write_crops
from yolox_pose.io.pictures import PICTURE_SUFFIXES, write_picture
from yolox_pose.io.sources import Source
from yolox_pose.io.video_writer import VideoFiles
from yolox_pose.utils.background import BackgroundWorker
from yolox_pose.visualization.side_by_side import draw_ground_truth, side_by_side

CROPS = "crops"
"""Folder of the single persons inside the output folder."""


class Output(NamedTuple):
    """Output of a source.

    Attributes:
        picture: Drawn picture, or video of the drawn frames.
        image_id: Id of an image; prefix of the ids of video frames.
    """

    picture: Path
    image_id: int | str


def plan_outputs(sources: Sequence[Source], folder: Path) -> dict[Source, Output]:
    """Choose the output file and the image id of each source. Equal names from different folders get a number.

    The id is the number that the file is named by, as in COCO, otherwise the name without its ending. A video becomes an mp4.

    Args:
        sources: Sources from :func:`yolox_pose.io.sources.list_sources`.
        folder: Folder of the outputs.
    """
    outputs: dict[Source, Output] = {}
    pictures: set[str] = set()
    ids: set[int | str] = set()
    for source in sources:
        # Start from the name of the source
        name = Path(source.name or "image")
        suffix = ".mp4" if source.is_video else name.suffix if name.suffix.lower() in PICTURE_SUFFIXES else ".png"
        picture, count = name.stem + suffix, 1
        image_id: int | str = name.stem
        if name.stem.isascii() and name.stem.isdigit() and not source.is_video:
            image_id = int(name.stem)

        # Append a number until file and id are unique
        while picture.lower() in pictures or image_id in ids:
            count += 1
            picture, image_id = f"{name.stem}_{count}{suffix}", f"{name.stem}_{count}"
        pictures.add(picture.lower())
        ids.add(image_id)
        outputs[source] = Output(folder / picture, image_id)
    return outputs


def next_free_folder(folder: Path, is_free: Callable[[Path], bool]) -> Path:
    """Return the first of ``folder``, ``folder2``, ``folder3`` … that is free.

    Args:
        folder: Folder to number.
        is_free: Function that tells whether a folder holds none of the files that will be written.
    """
    numbered = (folder.with_name(f"{folder.name}{number}") for number in count(2))
    return next(candidate for candidate in chain([folder], numbered) if is_free(candidate))


def is_filled(folder: Path) -> bool:
    """Return whether a folder exists and holds files."""
    return folder.is_dir() and any(folder.iterdir())


def check_outputs(inputs: Sequence[Path], outputs: Sequence[Path], overwrite: bool) -> None:
    """Refuse to overwrite inputs, or any file without ``overwrite``.

    Args:
        inputs: Files that are read.
        outputs: Files that will be written.
        overwrite: Whether existing outputs may be replaced.

    Raises:
        UsageError: If an output is an input or exists.
    """
    # Protect the inputs
    resolved = {path.resolve() for path in inputs}
    overwritten = [path for path in outputs if path.resolve() in resolved]
    if overwritten:
        raise UsageError(f"{overwritten[0]} is an input and is not overwritten; choose another --out")

    # Protect earlier results
    existing = [path for path in outputs if path.exists()]
    if existing and not overwrite:
        others = f" and {len(existing) - 1} more" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]}{others} exists already; choose another --out or file, or add --overwrite")


def check_crops_folder(folder: Path, overwrite: bool) -> None:
    """Check that the folder of single persons is empty without ``overwrite``, as their number is not known yet.

    Raises:
        UsageError: If it holds files.
    """
    if is_filled(folder) and not overwrite:
        raise UsageError(f"{folder} holds files already; choose another --out, or add --overwrite")


@contextmanager
def output_folders(folders: Sequence[Path]) -> Iterator[None]:
    """Create the folders of the outputs, and at the end remove those of them in which nothing was written.

    Raises:
        UsageError: If a folder cannot be created.
    """
    created: list[Path] = []
    try:
        for folder in dict.fromkeys(folders):
            missing = [path for path in (folder, *folder.parents) if not path.exists()]
            created.extend(reversed(missing))
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UsageError(f"folder {folder} cannot be created: {error.strerror or error}") from None
        yield
    finally:
        for path in reversed(created):
            with suppress(OSError):  # it is not empty
                path.rmdir()


class OutputWriter:
    """Write all outputs in a thread while the network processes the next images.

    As a context manager it waits for the thread and finishes the files at the end.

    Args:
        outputs: Output of each source, from :func:`plan_outputs`.
        plotter: Plotter of the pictures.
        json_file: COCO results file, or None.
        csv_file: CSV table, or None.
        crops: Folder of the single persons, or None.
        write_pictures: Whether to write the drawn pictures and videos.
        truth: Ground truth to draw beside the results and to take image and category ids from, or None.
        classes: Class names of the model.
        zoom: Factor to enlarge the ground truth by, equal to that of the plotter.
    """

    def __init__(
        self,
        outputs: dict[Source, Output],
        plotter: Plotter,
        *,
        json_file: Path | None = None,
        csv_file: Path | None = None,
        crops: Path | None = None,
        write_pictures: bool = True,
        truth: GroundTruth | None = None,
        classes: Sequence[str] = ("person",),
        zoom: float = 1.0,
    ) -> None:
        self.outputs, self.plotter, self.crops, self.truth, self.zoom = outputs, plotter, crops, truth, zoom
        self.write_pictures = write_pictures
        self.tables: list[ResultFile] = []
        if json_file is not None:
            self.tables.append(CocoFile(json_file, None if truth is None else truth.ids_of_classes(classes)))
        if csv_file is not None:
            self.tables.append(CsvFile(csv_file))
        self.videos = VideoFiles()
        self.worker = BackgroundWorker(MAX_PENDING)
        self._stack = ExitStack()

    def __enter__(self) -> OutputWriter:
        for table in self.tables:
            self._stack.enter_context(table)
        self._stack.enter_context(self.videos)
        self._stack.enter_context(self.worker)  # last in, so that it is waited for before the files are closed
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def write(self, result: PoseResult) -> Callable[[], np.ndarray]:
        """Begin to write a result.

        Returns:
            Function that waits for the picture and returns it.
        """
        picture = self._compare(self.plotter.plot(result), result)
        self.worker.submit(self._write, result, picture)
        return picture

    def _write(self, result: PoseResult, picture: Callable[[], np.ndarray]) -> None:
        """Write a result to all files."""
        # Write the tables and the single persons
        assert result.source is not None
        output = self.outputs[result.source]
        image_id = self._image_id(result, output)
        for table in self.tables:
            table.write(result, image_id)
        if self.crops is not None:
            write_crops(self.crops, result, image_id)

        # Write the picture
        if not self.write_pictures:
            return
        if result.frame is None:
            write_picture(picture(), output.picture)
        else:
            self.videos.write(output.picture, picture(), result.fps)

    def _image_id(self, result: PoseResult, output: Output) -> int | str:
        """Return the id of an image, from the ground truth if there is one, or of a video frame."""
        if result.frame is not None:
            return f"{output.image_id}_{result.frame:06d}"
        if self.truth is not None and result.name in self.truth.ids_by_file_name:
            return self.truth.ids_by_file_name[result.name]
        return output.image_id

    def _compare(self, picture: Callable[[], np.ndarray], result: PoseResult) -> Callable[[], np.ndarray]:
        """Return a function for the picture of a result, beside its ground truth if there is one."""
        if self.truth is None:
            return picture
        return partial(_draw_comparison, picture, result, self.truth, self.zoom)


def _draw_comparison(
    picture: Callable[[], np.ndarray], result: PoseResult, truth: GroundTruth, zoom: float
) -> np.ndarray:
    annotated = draw_ground_truth(result.image, truth, Path(result.name or "").name, result.skeleton, zoom)
    return side_by_side(annotated, picture(), ("ground truth", "prediction"))

"""Files of the Hugging Face Hub, through the package ``huggingface_hub``."""

from __future__ import annotations

from pathlib import Path

from yolox_pose.errors import DataError, UsageError
from yolox_pose.weights.store import OFFLINE_VARIABLE, is_offline

HUB_SCHEME = "hf:"


def get_from_hub(name: str) -> Path:
    """Return the file behind ``hf:ORG/REPO/FILE`` or ``hf:ORG/REPO/FILE@REVISION``, from the hub's own cache.

    Raises:
        UsageError: If the name has another form, or ``huggingface_hub`` is missing.
        DataError: If the file cannot be had.
    """
    path, _, revision = name.removeprefix(HUB_SCHEME).partition("@")
    parts = path.split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise UsageError(f"checkpoint {name!r} is not of the form {HUB_SCHEME}ORG/REPO/FILE")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        raise UsageError(f"{name} needs the package huggingface_hub: pip install huggingface_hub") from None
    repository = f"{parts[0]}/{parts[1]}"
    try:
        return Path(
            hf_hub_download(
                repo_id=repository, filename=parts[2], revision=revision or None, local_files_only=is_offline()
            )
        )
    except Exception as error:  # The package raises errors of several libraries
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        hint = f" ({OFFLINE_VARIABLE} is set)" if is_offline() else ""
        raise DataError(f"{name} cannot be downloaded{hint}: {reason}") from None

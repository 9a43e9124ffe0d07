"""Find, read, override and check configs."""

from yolox_pose.config.files import config_files, find_config, resource_folder
from yolox_pose.config.loading import first_line, load_config, use_data
from yolox_pose.config.options import parse_options

__all__ = [
    "config_files",
    "find_config",
    "first_line",
    "load_config",
    "parse_options",
    "resource_folder",
    "use_data",
]

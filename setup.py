"""Packaging. The training stack is not in ``install_requires``: ``yolox-pose install`` adds it (see requirements/)."""

import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
RESOURCES = ("configs", "requirements", "demo")


def requirements(name):
    lines = (ROOT / "requirements" / f"{name}.txt").read_text().splitlines()
    return [line for line in map(str.strip, lines) if line and not line.startswith("#")]


class BuildWithResources(build_py):
    """Copy ``configs/``, ``requirements/`` and the photos of ``demo/`` into the wheel as ``yolox_pose/_configs`` etc."""

    def run(self):
        super().run()
        if getattr(self, "editable_mode", False):
            return
        for name in RESOURCES:
            target = Path(self.build_lib, "yolox_pose", f"_{name}")
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__", "demo.py"))


EXTRAS = {
    "runtime": ["onnxruntime", "scipy"],  # scipy: track ids
    "export": ["onnx", "onnxscript", "onnxruntime"],
    "export-openvino": ["onnx", "onnxscript", "openvino"],
    "export-int8": ["onnx", "onnxscript", "openvino", "nncf"],
    "export-ncnn": ["pnnx", "ncnn"],
    "onnx": ["onnxruntime"],
    "openvino": ["openvino"],
    "ncnn": ["ncnn"],
    "safetensors": ["safetensors"],
    "hub": ["huggingface_hub"],
    "tensorboard": ["tensorboard"],
    "track": ["scipy"],
    "pandas": ["pandas"],
    "supervision": ["supervision>=0.29"],
    "completion": ["argcomplete"],
    "serve": [],  # the page needs the standard library only
}

setup(
    name="yolox-pose",
    version=runpy.run_path(str(ROOT / "yolox_pose" / "version.py"))["__version__"],
    description="Multi-person pose estimation on YOLOX for the OpenMMLab stack",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords="pose estimation, keypoints, YOLOX, object detection, MMPose, OpenMMLab",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: OS Independent",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["yolox_pose", "yolox_pose.*"]),
    package_data={
        "yolox_pose": [
            "py.typed",
            "serve/page/*",
            "weights/*.pth",
            "weights/*.tsv",
            "weights/README.md",
            "weights/onnx/*",
        ]
    },
    install_requires=["numpy>=1.23", "opencv-python-headless>=4.5", "tqdm>=4.60"],
    extras_require={**EXTRAS, "dev": requirements("dev")},
    entry_points={"console_scripts": ["yolox-pose=yolox_pose.cli.main:entry"]},
    cmdclass={"build_py": BuildWithResources},
    zip_safe=False,
)

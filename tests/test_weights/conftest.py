import pytest

from tests.test_weights.weights_server import weights_server
from yolox_pose.weights import download, store, table


@pytest.fixture
def server():
    with weights_server() as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty cache, no other folder of weights, no mirror, no pauses between attempts."""
    for name in (store.FOLDERS_VARIABLE, store.OFFLINE_VARIABLE, store.MIRROR_VARIABLE, table.TABLE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("YOLOX_POSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(download, "WAIT_SECONDS", 0.0)
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 5.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"

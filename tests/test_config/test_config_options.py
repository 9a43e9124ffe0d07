"""Options that change a config: parsed, checked against the config and the classes that it builds, and merged."""

import argparse
import logging

import pytest

pytest.importorskip("mmpose")

from yolox_pose.cli import run  # noqa: E402
from yolox_pose.cli.common import add_cfg_options  # noqa: E402
from yolox_pose.config import config_files, load_config, parse_options  # noqa: E402
from yolox_pose.config.keywords import PLAIN_GROUPS, accepted_keys, find_class, keywords  # noqa: E402
from yolox_pose.errors import UsageError  # noqa: E402

CONFIG = "yolox-pose_tiny_8xb32-300e_coco"


def value_at(config, dotted):
    for key in dotted.split("."):
        config = config[int(key)] if isinstance(config, list) else config[key]
    return config


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("0.1", 0.1),
        ("1e-3", 1e-3),
        ("true", True),
        ("None", None),
        ("cat", "cat"),
        ("cat,dog", ["cat", "dog"]),
        ("[1, 2]", [1, 2]),
        ("(1,2)", (1, 2)),
        ("[(1,2),[a,b]]", [(1, 2), ["a", "b"]]),
        ("[]", []),
        ("a folder/with spaces", "a folder/with spaces"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_values_are_parsed(text, value):
    assert parse_options([f"key={text}"]) == {"key": value}


@pytest.mark.parametrize("text", ["[a,b", "[ab", "a,b]", "(1,2", "[(1,2]", "[1,2)"])
def test_unmatched_brackets_name_the_option(text):
    with pytest.raises(UsageError, match="^--cfg-options key=.*brackets of the list do not match$"):
        parse_options([f"key={text}"])


@pytest.mark.parametrize("option", ["lr", "=3", "nonsense"])
def test_an_option_needs_a_key_and_a_value(option):
    with pytest.raises(UsageError, match=f"'{option}' is not of the form KEY=VALUE"):
        parse_options([option])


def test_the_option_may_be_given_several_times():
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    args = parser.parse_args(["--cfg-options", "a=1", "b=2", "--cfg-options", "c=3"])
    assert args.cfg_options == ["a=1", "b=2", "c=3"]
    assert parser.parse_args([]).cfg_options == []


@pytest.mark.parametrize("command", ["train", "test", "analyze", "dataset"])
def test_every_command_collects_its_options(command):
    module = __import__(f"yolox_pose.cli.{command}", fromlist=["build_parser"])
    positional = {"train": ["C"], "test": ["C", "W"], "analyze": ["model", "C"], "dataset": ["browse", "D"]}[command]
    if command == "dataset":
        positional += ["--out", "O"]
    args = module.build_parser().parse_args([*positional, "--cfg-options", "a=1", "--cfg-options", "b=2"])
    assert args.cfg_options == ["a=1", "b=2"]


VALID = {
    # present in the config
    "optim_wrapper.optimizer.lr": 0.001,
    "train_dataloader.batch_size": 4,
    "train_dataloader.dataset.data_root": "elsewhere",
    "test_evaluator": None,
    "custom_hooks": [],
    "param_scheduler.0.end": 3,
    "train_dataloader.dataset.input_size": [416, 416],
    "train_dataloader.dataset.pipeline": [],
    # keyword arguments of the class, absent in the config
    "model.head.assigner.dynamic_k": "iou",
    "model.head.loss_weights.oks": 3,
    "model.head.head_module.stacked_convs": 1,
    "model.head.skeleton": None,
    "model.freeze_detector": True,
    "model.test_cfg.nms_type": "box_oks",
    "model.backbone.frozen_stages": 2,
    "model.backbone.norm_cfg.momentum": 0.1,
    "train_dataloader.dataset.cache": "ram",
    "train_dataloader.dataset.classes": ["cat", "dog"],
    "train_dataloader.dataset.data_prefix.img": "images",
    "train_dataloader.dataset.pipeline.2.max_rotation": 20,
    "train_dataloader.dataset.transform_options.YOLOXPoseAffine.scale_range": (1, 2),
    "train_cfg.val_begin": 3,
    "default_hooks.checkpoint.save_best": "coco/AP",
    "default_hooks.checkpoint.max_keep_ckpts": 3,
    "default_hooks.checkpoint.save_optimizer": False,
    "default_hooks.checkpoint.priority": 60,
    "default_hooks.timer": None,
    "custom_hooks.1.gamma": 100,
    "visualizer.name": "mine",
    # settings that MMEngine reads itself
    "train_dataloader.prefetch_factor": 2,
    "train_dataloader.num_batch_per_epoch": 2,
    "optim_wrapper.paramwise_cfg.pose_lr_mult": 1,
    "optim_wrapper.clip_grad.norm_type": 2,
    "optim_wrapper.accumulative_counts": 2,
    "env_cfg.mp_cfg.mp_start_method": "spawn",
    "env_cfg.dist_cfg.timeout": 60,
    "randomness.deterministic": True,
    "auto_scale_lr.enable": True,
    "sync_bn": "torch",
    "experiment_name": "first",
    "find_unused_parameters": True,
}


@pytest.mark.parametrize(("key", "value"), VALID.items())
def test_a_setting_that_is_read_is_accepted(key, value):
    assert value_at(load_config(CONFIG, {key: value}), key) == value


def test_a_group_with_a_type_of_its_own_may_be_added():
    options = {"default_hooks.early.type": "EarlyStoppingHook", "default_hooks.early.monitor": "coco/AP"}
    assert load_config(CONFIG, options).default_hooks.early.monitor == "coco/AP"
    options = {"optim_wrapper.optimizer.type": "SGD", "optim_wrapper.optimizer.momentum": 0.9}
    assert load_config(CONFIG, options).optim_wrapper.optimizer.momentum == 0.9
    options = {"optim_wrapper.optimizer": {"_delete_": True, "type": "SGD", "lr": 0.1}}
    assert load_config(CONFIG, options).optim_wrapper.optimizer == {"type": "SGD", "lr": 0.1}


WRONG = {
    # unknown keys, with the nearest one
    "batchsize=3": "no setting 'batchsize'; did you mean 'train_dataloader.batch_size'?",
    "bath_size=3": "no setting 'bath_size'; did you mean 'train_dataloader.batch_size'?",
    "lr=0.1": "no setting 'lr'; did you mean 'optim_wrapper.optimizer.lr'?",
    "zzz=3": "the config has no setting 'zzz'$",
    "max_epochs=3": "is a variable of the config file, .*; did you mean 'train_cfg.max_epochs'?",
    "base_lr=0.1": "is a variable of the config file, so that a new value changes nothing$",
    "data_root=x": "did you mean 'train_dataloader.dataset.data_root'?",
    "train_dataloader.batchsize=3": "'train_dataloader' has no setting 'batchsize'; did you mean 'train_dataloader.batch_size'?",
    "model.hed.num_classes=3": "'model' has no setting 'hed'; did you mean 'model.head'?",
    "model.head.num_clases=3": "did you mean 'model.head.num_classes'?",
    "model.head.assigner.dinamic_k=iou": "did you mean 'model.head.assigner.dynamic_k'?",
    "model.head.loss_weights.okss=3": "did you mean 'model.head.loss_weights.oks'?",
    "model.head.head_module.stacked_conv=3": "did you mean 'model.head.head_module.stacked_convs'?",
    "model.test_cfg.nms_typ=oks": "did you mean 'model.test_cfg.nms_type'?",
    "model.backbone.norm_cfg.momentun=1": "did you mean 'model.backbone.norm_cfg.momentum'?",
    "train_dataloader.dataset.cash=ram": "did you mean 'train_dataloader.dataset.cache'?",
    "train_dataloader.dataset.data_prefix.image=x": "did you mean 'train_dataloader.dataset.data_prefix.img'?",
    "train_dataloader.dataset.pipeline.0.foo=1": "'train_dataloader.dataset.pipeline.0' has no setting 'foo'",
    "train_dataloader.dataset.pipeline.99.foo=1": "'train_dataloader.dataset.pipeline' is a list of 8, it has no '99'",
    "train_dataloader.dataset.pipeline.foo=1": "is a list of 8, it has no 'foo'",
    "train_dataloader.dataset.transform_options.YOLOXPoseAffine.scale=1": "did you mean '.*YOLOXPoseAffine.scale_range'?",
    "train_dataloader.batch_size.foo=3": "'train_dataloader.batch_size' is 32, it has no 'foo'",
    "train_cfg.max_epoch=3": "did you mean 'train_cfg.max_epochs'?",
    "param_scheduler.0.ende=3": "did you mean 'param_scheduler.0.end'?",  # codespell:ignore
    "default_hooks.checkpoint.max_kept=3": "did you mean 'default_hooks.checkpoint.max_keep_ckpts'?",
    "default_hooks.early.patience=3": "'default_hooks' has no setting 'early'",
    "custom_hooks.1.gama=3": "did you mean 'custom_hooks.1.gamma'?",
    "optim_wrapper.paramwise_cfg.pose_lr=1": "did you mean 'optim_wrapper.paramwise_cfg.pose_lr_mult'?",
    "optim_wrapper.clip_grad.max=1": "'optim_wrapper.clip_grad' has no setting 'max'",
    "env_cfg.mp_cfg.mp_start=spawn": "did you mean 'env_cfg.mp_cfg.mp_start_method'?",
    "randomness.determinstic=true": "did you mean 'randomness.deterministic'?",  # codespell:ignore
    # values of another kind
    "optim_wrapper.optimizer.lr=abc": "the value must be a number, such as 0.004",
    "optim_wrapper.optimizer.lr=true": "the value must be a number",
    "optim_wrapper.optimizer.lr=": "the value must be a number",
    "train_cfg.max_epochs=ten": "the value must be a number, such as 300",
    "train_dataloader.pin_memory=maybe": "the value must be true or false",
    "train_dataloader.dataset.input_size=640": "the value must be a list of numbers, such as 416,416",
    "train_dataloader.dataset.input_size=a,b": "the value must be a list of numbers",
    "model=3": "the value must be a setting inside of it: type, ",
    "custom_hooks=none": "the value must be a list of groups",
    "optim_wrapper.optimizer.type=AdamX": "there is no registered class 'AdamX'",
    "train_dataloader.dataset.classes=[a,b": "the brackets of the list do not match",
}


@pytest.mark.parametrize(("option", "message"), WRONG.items())
def test_a_wrong_option_gives_one_line(option, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")) as caught:
        load_config(CONFIG, [option])
    assert str(caught.value).startswith(f"--cfg-options {option.partition('=')[0]}=")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("train_dataloader.batch_size=0", "train_dataloader.batch_size must be a whole number of at least 1, not 0"),
        ("val_dataloader.batch_size=2.5", "val_dataloader.batch_size must be a whole number of at least 1, not 2.5"),
        ("test_dataloader.num_workers=-1", "test_dataloader.num_workers must be a whole number of at least 0, not -1"),
    ],
)
def test_a_loader_with_impossible_numbers_is_refused(option, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        load_config(CONFIG, [option])


def test_without_workers_none_persist(caplog):
    with caplog.at_level(logging.WARNING):
        config = load_config(CONFIG, ["train_dataloader.num_workers=0"])
    assert config.train_dataloader.persistent_workers is False
    assert config.val_dataloader.persistent_workers is True
    assert caplog.messages == ["train_dataloader.persistent_workers is switched off, because num_workers is 0"]

    from torch.utils.data import DataLoader

    settings = {key: config.train_dataloader[key] for key in ("batch_size", "num_workers", "persistent_workers")}
    assert len(DataLoader([1, 2, 3], **settings)) == 1  # torch accepts the settings


@pytest.mark.parametrize(
    "options", [["batchsize=3"], ["optim_wrapper.optimizer.lr=abc"], ["train_dataloader.batch_size=0"]]
)
@pytest.mark.parametrize("command", ["train", "analyze"])
def test_commands_exit_with_2_and_one_line(command, options, capfd, tmp_path):
    module = __import__(f"yolox_pose.cli.{command}", fromlist=["main"])
    start = [CONFIG, "--work-dir", str(tmp_path), "--device", "cpu"] if command == "train" else ["model", CONFIG]
    assert run(module.main, [*start, "--cfg-options", *options]) == 2
    message = capfd.readouterr().err
    assert message.count("\n") == 1
    assert options[0].partition("=")[0] in message


@pytest.mark.parametrize("path", config_files(), ids=lambda path: path.stem)
def test_every_setting_of_the_shipped_configs_is_one_that_is_read(path):
    config = load_config(path)._cfg_dict.to_dict()

    def check(group, place):
        if isinstance(group, dict):
            accepted = accepted_keys(config, place) if place else None
            assert accepted is None or set(group) <= set(accepted), place
        for key, item in group.items() if isinstance(group, dict) else enumerate(group):
            if isinstance(item, dict | list | tuple) and (place or key in accepted_keys(config, ())):
                check(item, (*place, str(key)))

    check(config, ())


def test_keyword_arguments_include_those_of_bases():
    class Base:
        def __init__(self, first, *, second=1):
            pass

    class Child(Base):
        def __init__(self, third, **kwargs):
            super().__init__(**kwargs)

    class Anything:
        def __init__(self, **kwargs):
            pass

    class Nothing:
        pass

    assert keywords(Child) == {"first", "second", "third"}
    assert keywords(Anything) is None
    assert keywords(Nothing) == set()
    assert keywords(lambda a, b=1: None) == {"a", "b"}


def test_classes_are_found_in_any_registry():
    from torch.optim import AdamW

    assert find_class("AdamW") is AdamW
    assert find_class("yolox_pose.CocoPoseDataset").__name__ == "CocoPoseDataset"
    assert find_class("mmdet.CSPDarknet").__name__ == "CSPDarknet"
    assert find_class("NoSuchClass") is None
    assert find_class("") is None


def test_groups_of_mmengine_are_those_that_it_reads():
    import inspect

    from torch.nn.utils import clip_grad_norm_

    clip = set(inspect.signature(clip_grad_norm_).parameters) - {"parameters"}
    assert clip <= PLAIN_GROUPS["optim_wrapper.clip_grad"]


@pytest.mark.parametrize("text", ["model = dict(", "_base_ = './gone.py'", "1 / 0"])
def test_a_broken_config_gives_one_line(tmp_path, text):
    file = tmp_path / "broken.py"
    file.write_text(text + "\n")
    with pytest.raises(UsageError, match="broken.py cannot be read: ") as caught:
        load_config(file)
    assert "\n" not in str(caught.value)

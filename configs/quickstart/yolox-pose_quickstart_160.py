# A small pose model trained from scratch on a synthetic crowd, in minutes on two CPU cores (`make quickstart`).
# Nano's width without depthwise convolutions, 160 px, no mosaic and MixUp, which need more epochs. k comes from IoU, which
# rises long before OKS and gives more positives in a short run.
_base_ = ['../_base_/default_runtime.py', '../_base_/yolox-pose_s.py']

data_root = 'quickstart/data/'
max_epochs = 9
batch_size = 16
input_size = (160, 160)

model = dict(
    data_preprocessor=dict(random_size=None),
    backbone=dict(widen_factor=0.25),
    neck=dict(in_channels=[64, 128, 256], out_channels=64),
    head=dict(
        head_module=dict(widen_factor=0.25, pose_stacked_convs=2),
        assigner=dict(dynamic_k='iou'),
        loss_weights=dict(keypoint_l1=3.0)))

train_pipeline = [
    dict(type='yolox_pose.LoadBGRImage'),
    dict(type='yolox_pose.YOLOXPoseHSV'),
    dict(type='yolox_pose.YOLOXPoseFlip'),
    dict(type='yolox_pose.LetterboxResize'),
    dict(type='yolox_pose.DropTinyInstances'),
    dict(type='yolox_pose.PackYOLOXPoseInputs'),
]
test_pipeline = [
    dict(type='yolox_pose.LoadBGRImage'),
    dict(type='yolox_pose.LetterboxResize'),
    dict(type='yolox_pose.PackYOLOXPoseInputs'),
]

train_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,
    sampler=dict(type='yolox_pose.EpochSampler'),
    dataset=dict(
        type='yolox_pose.CocoPoseDataset', data_root=data_root, ann_file='annotations/train.json',
        data_prefix=dict(img='train/'), input_size=input_size, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,
    sampler=dict(type='yolox_pose.EpochSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='yolox_pose.CocoPoseDataset', data_root=data_root, ann_file='annotations/val.json',
        data_prefix=dict(img='val/'), input_size=input_size, test_mode=True, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='yolox_pose.CocoPoseMetric', ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=3)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='yolox_pose.YOLOXPoseOptimConstructor',
    optimizer=dict(type='AdamW', lr=0.003, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0),
    clip_grad=dict(max_norm=35))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=60, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=3e-5, T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=1, save_best=None, rule=None))
custom_hooks = [
    dict(type='yolox_pose.ProgressBarHook'),
    dict(type='EMAHook', ema_type='yolox_pose.BatchedExpMomentumEMA', momentum=0.005, gamma=200, update_buffers=True, priority=49),
]
log_level = 'WARNING'  # the progress bar shows what the log lines would; vis_data/ keeps the numbers

# Fine-tune nano on your own people in COCO-keypoints format, from the weights of a YOLOX-nano detector:
#
#   python tools/train.py configs/finetune/yolox-pose_nano_1xb16-30e_custom-416.py --data DIR --load-from yolox_nano.pth
#
# Differences from the 300-epoch recipe (docs/learning.md has the effect of each):
#
# - Muon instead of AdamW for the matrices of the convolutions: several times the AP after the first epochs.
# - No mosaic and MixUp.
# - Frozen first layers and a low learning rate for the detector: otherwise boxes get worse before poses get good.
# - A higher learning rate and plain convolutions for the new keypoint branch: they learn from fewer images.
# - k from IoU: boxes are good from the first step, so every person gets many positives.
# - Keypoint L1 beside OKS, which has no gradient far from the target.
# - An EMA that follows within a short run.
# - Random batch sizes up to 416 px make the first epochs a third cheaper; the last ten use 416 px.
_base_ = '../yolox-pose/yolox-pose_nano_8xb32-300e_coco.py'

max_epochs, num_last_epochs = 30, 10
base_lr = 0.0002

model = dict(
    data_preprocessor=dict(random_size=(256, 416), random_size_interval=4),
    backbone=dict(frozen_stages=1),
    head=dict(
        head_module=dict(pose_depthwise=False), assigner=dict(dynamic_k='iou'), loss_weights=dict(keypoint_l1=10.0)))

train_pipeline = [
    dict(type='yolox_pose.LoadBGRImage'),
    dict(type='yolox_pose.YOLOXPoseAffine', scale_range=(0.8, 1.5), max_rotation=10.0, max_shear=0.0, max_shift=0.1),
    dict(type='yolox_pose.YOLOXPoseHSV'),
    dict(type='yolox_pose.YOLOXPoseFlip'),
    dict(type='yolox_pose.DropTinyInstances'),
    dict(type='yolox_pose.PackYOLOXPoseInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    dataset=dict(
        data_root='data/custom/', ann_file='annotations/train.json', data_prefix=dict(img='images/'),
        skip_transforms=(), pipeline=train_pipeline))
val_dataloader = dict(
    num_workers=2,
    dataset=dict(data_root='data/custom/', ann_file='annotations/val.json', data_prefix=dict(img='images/')))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/custom/annotations/val.json')
test_evaluator = val_evaluator

train_cfg = dict(max_epochs=max_epochs, val_interval=3, dynamic_intervals=None)
auto_scale_lr = dict(base_batch_size=16)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='yolox_pose.MuonAdamW', lr=base_lr, weight_decay=0.05, matrix_lr_mult=20.0),
    paramwise_cfg=dict(pose_lr_mult=30.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=200, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.01, T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    checkpoint=dict(interval=3),
    training_phase=dict(num_last_epochs=num_last_epochs, full_size_last=True))
custom_hooks = [
    dict(type='mmpose.SyncNormHook', priority=48),
    dict(type='EMAHook', ema_type='yolox_pose.BatchedExpMomentumEMA', momentum=0.002, gamma=200, update_buffers=True, priority=49),
]

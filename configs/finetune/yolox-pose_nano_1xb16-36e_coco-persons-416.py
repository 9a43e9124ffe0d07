# The recipe of the bundled weights: nano at 416 from the weights of a YOLOX-nano detector, on a few thousand images of people
# (docs/learning.md, yolox_pose/weights/README.md).
#
# Longer than the fine-tuning recipe that it builds on, so poses are also seen scaled, turned and shifted, and the detector
# learns at twice the rate; batches of random sizes up to 416 px make the first 26 epochs a third cheaper, the last ten are
# plain and at 416 px.
_base_ = './yolox-pose_nano_1xb16-30e_custom-416.py'

max_epochs, num_last_epochs = 36, 10
base_lr = 0.0004

model = dict(data_preprocessor=dict(random_size=(256, 416), random_size_interval=4))
train_pipeline = [
    dict(type='yolox_pose.LoadBGRImage'),
    dict(type='yolox_pose.YOLOXPoseAffine', scale_range=(0.8, 1.5), max_rotation=10.0, max_shear=0.0, max_shift=0.1),
    dict(type='yolox_pose.YOLOXPoseHSV'),
    dict(type='yolox_pose.YOLOXPoseFlip'),
    dict(type='yolox_pose.DropTinyInstances'),
    dict(type='yolox_pose.PackYOLOXPoseInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=max_epochs, val_interval=4)
optim_wrapper = dict(optimizer=dict(lr=base_lr), paramwise_cfg=dict(pose_lr_mult=15.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=200, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.01, T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=2))
custom_hooks = [
    dict(type='yolox_pose.NonFiniteLossGuard'),
    dict(type='yolox_pose.TrainingPhaseHook', num_last_epochs=num_last_epochs, full_size_last=True, priority=48),
    dict(type='mmpose.SyncNormHook', priority=48),
    dict(type='EMAHook', ema_type='yolox_pose.BatchedExpMomentumEMA', momentum=0.001, gamma=200, update_buffers=True, priority=49),
]

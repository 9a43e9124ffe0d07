# The same with affine augmentation of the ranges that our fine-tuning recipe has (scales are of the crop, so 1 / 1.5 to
# 1 / 0.8), batches of random sizes, and the plain images and the L1 box loss of MMPose's own hook in the last epochs.
_base_ = './mmpose_yoloxpose_nano.py'

model = dict(
    data_preprocessor=dict(
        batch_augments=[
            dict(type='BatchSyncRandomResize', random_size_range=(256, 416), size_divisor=32, interval=4)
        ]))
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='BottomupRandomAffine', input_size=_base_.input_size, shift_factor=0.1, shift_prob=1, rotate_factor=10,
        rotate_prob=1, scale_factor=(1 / 1.5, 1 / 0.8), scale_prob=1, scale_type='long', pad_val=(114, 114, 114),
        distribution='uniform', bbox_keep_corner=False, clip_border=True),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip'),
    dict(type='FilterAnnotations', by_kpt=True, by_box=True, keep_empty=False),
    dict(type='GenerateTarget', encoder=_base_.codec),
    dict(type='PackPoseInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = [
    dict(
        type='YOLOXPoseModeSwitchHook', num_last_epochs=4, new_train_pipeline=_base_.train_pipeline, priority=48),
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=200, update_buffers=True, priority=49),
]

# The published recipe: COCO keypoints, 8 GPUs x 32 images, 300 epochs, the last 20 without mosaic and MixUp.
_base_ = './default_runtime.py'

data_root = 'data/coco/'
max_epochs, num_last_epochs, warmup_epochs = 300, 20, 5
base_lr = 0.004

train_pipeline = [
    dict(type='yolox_pose.LoadBGRImage'),
    dict(type='yolox_pose.YOLOXPoseMosaic'),
    dict(
        type='yolox_pose.YOLOXPoseAffine', scale_range=(0.75, 1.0), max_rotation=10.0, max_shear=2.0, max_shift=0.1),
    dict(type='yolox_pose.YOLOXPoseMixUp', scale_range=(0.8, 1.6)),
    dict(type='yolox_pose.YOLOXPoseHSV'),
    dict(type='yolox_pose.YOLOXPoseFlip'),
    dict(type='yolox_pose.DropTinyInstances'),
    dict(type='yolox_pose.PackYOLOXPoseInputs'),
]
final_pipeline = [
    dict(type='yolox_pose.LoadBGRImage'),
    dict(type='yolox_pose.LetterboxResize'),
    dict(type='yolox_pose.YOLOXPoseHSV'),
    dict(type='yolox_pose.YOLOXPoseFlip'),
    dict(type='yolox_pose.DropTinyInstances'),
    dict(type='yolox_pose.PackYOLOXPoseInputs'),
]
test_pipeline = [
    dict(type='yolox_pose.LoadBGRImage'),
    dict(type='yolox_pose.LetterboxResize'),
    dict(type='yolox_pose.PackYOLOXPoseInputs'),
]

train_dataloader = dict(
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='yolox_pose.EpochSampler', shuffle=True),
    dataset=dict(
        type='yolox_pose.CocoPoseDataset',
        data_root=data_root,
        ann_file='annotations/person_keypoints_train2017.json',
        data_prefix=dict(img='train2017/'),
        input_size=(640, 640),
        skip_transforms=(),
        pipeline=train_pipeline,
        final_pipeline=final_pipeline))
val_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    drop_last=False,
    sampler=dict(type='yolox_pose.EpochSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='yolox_pose.CocoPoseDataset',
        data_root=data_root,
        ann_file='annotations/person_keypoints_val2017.json',
        data_prefix=dict(img='val2017/'),
        input_size=(640, 640),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(
    type='yolox_pose.CocoPoseMetric', ann_file=data_root + 'annotations/person_keypoints_val2017.json')
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=10, dynamic_intervals=[(280, 1)])
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(base_batch_size=256)

optim_wrapper = dict(
    type='OptimWrapper',
    constructor='yolox_pose.YOLOXPoseOptimConstructor',
    optimizer=dict(type='AdamW', lr=base_lr, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0),
    clip_grad=dict(max_norm=0.1))
param_scheduler = [
    dict(
        type='mmpose.QuadraticWarmupLR', by_epoch=True, begin=0, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', eta_min=base_lr * 0.05, begin=warmup_epochs, T_max=max_epochs - num_last_epochs,
        end=max_epochs - num_last_epochs, by_epoch=True, convert_to_iter_based=True),
    dict(type='ConstantLR', factor=1, begin=max_epochs - num_last_epochs, end=max_epochs, by_epoch=True),
]
default_hooks = dict(training_phase=dict(num_last_epochs=num_last_epochs))
custom_hooks = [
    dict(type='mmpose.SyncNormHook', priority=48),
    dict(type='EMAHook', ema_type='yolox_pose.BatchedExpMomentumEMA', momentum=0.0002, update_buffers=True, priority=49),
]

# The published recipe of YOLOX: COCO instances, 8 GPUs x 8 images, 300 epochs, SGD, the last 15 without mosaic and MixUp.
# It differs from the pose recipe in affine scale, padding (right and bottom), optimizer and EMA.
_base_ = './coco-pose_8xb32-300e.py'

max_epochs, num_last_epochs, warmup_epochs = 300, 15, 5
base_lr = 0.01

train_pipeline = [
    dict(type='yolox_pose.LoadBGRImage'),
    dict(type='yolox_pose.YOLOXPoseMosaic'),
    dict(
        type='yolox_pose.YOLOXPoseAffine', scale_range=(0.1, 2.0), max_rotation=10.0, max_shear=2.0, max_shift=0.1),
    dict(type='yolox_pose.YOLOXPoseMixUp', scale_range=(0.8, 1.6)),
    dict(type='yolox_pose.YOLOXPoseHSV'),
    dict(type='yolox_pose.YOLOXPoseFlip'),
    dict(type='yolox_pose.DropTinyInstances'),
    dict(type='yolox_pose.PackYOLOXPoseInputs'),
]
final_pipeline = [
    dict(type='yolox_pose.LoadBGRImage'),
    dict(type='yolox_pose.LetterboxResize', centered=False),
    dict(type='yolox_pose.YOLOXPoseHSV'),
    dict(type='yolox_pose.YOLOXPoseFlip'),
    dict(type='yolox_pose.DropTinyInstances'),
    dict(type='yolox_pose.PackYOLOXPoseInputs'),
]
test_pipeline = [
    dict(type='yolox_pose.LoadBGRImage'),
    dict(type='yolox_pose.LetterboxResize', centered=False),
    dict(type='yolox_pose.PackYOLOXPoseInputs'),
]

train_dataloader = dict(
    batch_size=8,
    dataset=dict(
        ann_file='annotations/instances_train2017.json', skeleton=None, classes='coco', pipeline=train_pipeline,
        final_pipeline=final_pipeline))
val_dataloader = dict(
    dataset=dict(
        ann_file='annotations/instances_val2017.json', skeleton=None, classes='coco', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='data/coco/annotations/instances_val2017.json', metric='bbox')
test_evaluator = val_evaluator

train_cfg = dict(dynamic_intervals=[(max_epochs - num_last_epochs, 1)])
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(
    checkpoint=dict(save_best='coco/bbox_mAP'), training_phase=dict(num_last_epochs=num_last_epochs))

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=base_lr, momentum=0.9, nesterov=True, weight_decay=0.0005),
    clip_grad=None)
param_scheduler = [
    dict(
        type='mmpose.QuadraticWarmupLR', by_epoch=True, begin=0, end=warmup_epochs, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR', eta_min=base_lr * 0.05, begin=warmup_epochs, T_max=max_epochs - num_last_epochs,
        end=max_epochs - num_last_epochs, by_epoch=True, convert_to_iter_based=True),
    dict(type='ConstantLR', factor=1, begin=max_epochs - num_last_epochs, end=max_epochs, by_epoch=True),
]
custom_hooks = [
    dict(type='mmpose.SyncNormHook', priority=48),
    dict(type='EMAHook', ema_type='yolox_pose.BatchedExpMomentumEMA', momentum=0.0001, update_buffers=True, priority=49),
]

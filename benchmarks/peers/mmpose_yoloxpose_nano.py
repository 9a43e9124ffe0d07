# MMPose 1.3.2's built-in YOLOX-Pose on a nano body, for small data: its data set, transforms, head, losses and assigner
# with their published settings. Its head has no depthwise form. Paths and sizes are filled in by benchmarks/train_quality.py.
default_scope = 'mmpose'
custom_imports = dict(imports=['yolox_pose.registry'], allow_failed_imports=False)
env_cfg = dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0))
log_level = 'INFO'

input_size = (416, 416)
_norm = dict(type='BN', momentum=0.03, eps=0.001)
_act = dict(type='Swish')
_coco = 'configs/_base_/datasets/coco.py'
codec = dict(type='YOLOXPoseAnnotationProcessor', input_size=input_size)

model = dict(
    type='BottomupPoseEstimator',
    init_cfg=dict(
        type='Kaiming', layer='Conv2d', a=2.23606797749979, distribution='uniform', mode='fan_in',
        nonlinearity='leaky_relu'),
    data_preprocessor=dict(type='PoseDataPreprocessor', pad_size_divisor=32, mean=[0, 0, 0], std=[1, 1, 1]),
    backbone=dict(
        type='mmdet.CSPDarknet', deepen_factor=0.33, widen_factor=0.25, out_indices=(2, 3, 4), use_depthwise=True,
        spp_kernal_sizes=(5, 9, 13), norm_cfg=_norm, act_cfg=_act),
    neck=dict(
        type='mmdet.YOLOXPAFPN', in_channels=[64, 128, 256], out_channels=64, num_csp_blocks=1, use_depthwise=True,
        upsample_cfg=dict(scale_factor=2, mode='nearest'), norm_cfg=_norm, act_cfg=_act),
    head=dict(
        type='YOLOXPoseHead',
        num_keypoints=17,
        featmap_strides=(8, 16, 32),
        head_module_cfg=dict(
            num_classes=1, in_channels=256, feat_channels=256, widen_factor=0.25, stacked_convs=2, norm_cfg=_norm,
            act_cfg=_act),
        prior_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
        assigner=dict(
            type='SimOTAAssigner', dynamic_k_indicator='oks', oks_calculator=dict(type='PoseOKS', metainfo=_coco)),
        overlaps_power=0.5,
        loss_cls=dict(type='BCELoss', reduction='sum', loss_weight=1.0),
        loss_bbox=dict(type='IoULoss', mode='square', eps=1e-16, reduction='sum', loss_weight=5.0),
        loss_obj=dict(type='BCELoss', use_target_weight=True, reduction='sum', loss_weight=1.0),
        loss_oks=dict(
            type='OKSLoss', reduction='none', metainfo=_coco, norm_target_weight=True, loss_weight=30.0),
        loss_vis=dict(type='BCELoss', use_target_weight=True, reduction='mean', loss_weight=1.0),
        loss_bbox_aux=dict(type='L1Loss', reduction='sum', loss_weight=1.0)),
    test_cfg=dict(score_thr=0.01, nms_thr=0.65))

train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='BottomupRandomAffine', input_size=input_size, shift_prob=0, rotate_prob=0, scale_prob=0,
        scale_type='long', pad_val=(114, 114, 114), bbox_keep_corner=False, clip_border=True),
    dict(type='YOLOXHSVRandomAug'),
    dict(type='RandomFlip'),
    dict(type='FilterAnnotations', by_kpt=True, by_box=True, keep_empty=False),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs'),
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='BottomupResize', input_size=input_size, pad_val=(114, 114, 114)),
    dict(
        type='PackPoseInputs',
        meta_keys=('id', 'img_id', 'img_path', 'ori_shape', 'img_shape', 'input_size', 'input_center', 'input_scale')),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CocoDataset', data_root='', data_mode='bottomup', filter_cfg=dict(filter_empty_gt=False, min_size=32),
        ann_file='', data_prefix=dict(img=''), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False, round_up=False),
    dataset=dict(
        type='CocoDataset', data_root='', data_mode='bottomup', ann_file='', data_prefix=dict(img=''), test_mode=True,
        pipeline=val_pipeline))
val_evaluator = dict(type='yolox_pose.CocoPoseMetric', ann_file='')

train_cfg = dict(by_epoch=True, max_epochs=12, val_interval=3)
val_cfg = dict()
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.001, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0, bypass_duplicate=True),
    clip_grad=dict(max_norm=0.1, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=200, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-5, T_max=12, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=1, max_keep_ckpts=1),
    sampler_seed=dict(type='DistSamplerSeedHook'))
custom_hooks = [
    dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.002, gamma=200, update_buffers=True, priority=49),
]

# Settings shared by all recipes, independent of data and model size.
default_scope = 'yolox_pose'
custom_imports = dict(imports=['yolox_pose.registry'], allow_failed_imports=False)

default_hooks = dict(
    runtime_info=dict(type='yolox_pose.BufferedRuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='yolox_pose.AtomicCheckpointHook', interval=10, max_keep_ckpts=3, save_best='coco/AP', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    curves=dict(type='yolox_pose.CurvesHook'),
    checks=dict(type='yolox_pose.TrainingChecksHook'),
    threads=dict(type='yolox_pose.ThreadsHook'),
    guard=dict(type='yolox_pose.NonFiniteLossGuard'),
    resume=dict(type='yolox_pose.ResumeHook'),
    training_phase=dict(type='yolox_pose.TrainingPhaseHook', num_last_epochs=0),
)

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
randomness = dict(seed=0)
visualizer = dict(type='yolox_pose.YOLOXPoseVisualizer', vis_backends=[dict(type='LocalVisBackend')])
data_mode = 'bottomup'  # MMPose's inferencer: the model takes whole images
log_processor = dict(
    type='LogProcessor', window_size=50, by_epoch=True, num_digits=6,
    mean_pattern=r'.*(loss|time|grad_norm|positives|unmatched|oks).*')
log_level = 'INFO'
load_from = None
resume = False

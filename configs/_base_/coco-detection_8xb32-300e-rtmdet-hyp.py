# The faster recipe of MMYOLO with RTMDet's hyperparameters: 8 GPUs x 32 images, AdamW, the last 20 epochs without mosaic.
_base_ = './coco-detection_8xb8-300e.py'

max_epochs, num_last_epochs, warmup_epochs = 300, 20, 5
base_lr = 0.004

train_dataloader = dict(batch_size=32)
train_cfg = dict(dynamic_intervals=[(max_epochs - num_last_epochs, 1)])
auto_scale_lr = dict(base_batch_size=256)

optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=base_lr, weight_decay=0.05))
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

# The recipe of the bundled weights (docs/learning.md, yolox_pose/weights/README.md): the fine-tuning recipe with 50 epochs and
# other weights of keypoint L1 and gradient clipping.
_base_ = './yolox-pose_nano_1xb16-30e_custom-416.py'

max_epochs = 50
model = dict(head=dict(loss_weights=dict(keypoint_l1=3.0)))
optim_wrapper = dict(clip_grad=dict(max_norm=35))
train_cfg = dict(max_epochs=max_epochs, val_interval=5)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=200, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=_base_.base_lr * 0.01, T_max=max_epochs, by_epoch=True, convert_to_iter_based=True),
]
default_hooks = dict(checkpoint=dict(interval=2))

# Fine-tune one nano model for boxes and keypoints, from the weights of a YOLOX-nano detector of the same classes:
#
#   python tools/train.py configs/joint/yolox-joint_nano_1xb16-30e_custom-416.py --data DIR --load-from yolox_nano.pth
#
# The recipe for poses on small data, changed to preserve the boxes: the backbone is frozen, the rest of the detector learns
# slowly with AdamW, and images are not augmented by scale, at 416 px.
_base_ = '../finetune/yolox-pose_nano_1xb16-30e_custom-416.py'

base_lr = 0.00002
model = dict(
    data_preprocessor=dict(random_size=None), backbone=dict(frozen_stages=4),
    head=dict(num_classes=80, keypoint_classes=(0, ), loss_weights=dict(keypoint_l1=3.0)))
train_dataloader = dict(
    dataset=dict(
        pipeline=_base_.final_pipeline,
        ann_file='annotations/instances_train.json', keypoint_file='annotations/person_keypoints_train.json',
        classes='coco', keypoint_classes=('person', )))
val_dataloader = dict(
    dataset=dict(
        ann_file='annotations/instances_val.json', keypoint_file='annotations/person_keypoints_val.json',
        classes='coco', keypoint_classes=('person', )))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file='data/custom/annotations/instances_val.json',
    keypoint_ann_file='data/custom/annotations/person_keypoints_val.json',
    metric=('keypoints', 'bbox'))
test_evaluator = val_evaluator
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=base_lr, weight_decay=0.05), paramwise_cfg=dict(pose_lr_mult=300.0),
    clip_grad=dict(max_norm=35))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=200, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.01, T_max=30, by_epoch=True, convert_to_iter_based=True),
]

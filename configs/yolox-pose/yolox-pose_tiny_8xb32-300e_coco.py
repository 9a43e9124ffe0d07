_base_ = './yolox-pose_s_8xb32-300e_coco.py'

# 416 px, batches of 320 to 640 px, no MixUp, as published for tiny
model = dict(
    data_preprocessor=dict(random_size=(320, 640)),
    backbone=dict(widen_factor=0.375),
    neck=dict(in_channels=[96, 192, 384], out_channels=96),
    head=dict(head_module=dict(widen_factor=0.375)))
train_dataloader = dict(dataset=dict(input_size=(416, 416), skip_transforms=('YOLOXPoseMixUp', )))
val_dataloader = dict(dataset=dict(input_size=(416, 416)))
test_dataloader = val_dataloader

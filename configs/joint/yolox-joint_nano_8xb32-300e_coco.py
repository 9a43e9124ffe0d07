_base_ = './yolox-joint_tiny_8xb32-300e_coco.py'

# tiny's recipe with depthwise convolutions in backbone, neck and head
model = dict(
    backbone=dict(widen_factor=0.25, use_depthwise=True),
    neck=dict(in_channels=[64, 128, 256], out_channels=64, use_depthwise=True),
    head=dict(head_module=dict(widen_factor=0.25, use_depthwise=True)))

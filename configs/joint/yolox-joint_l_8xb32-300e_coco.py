_base_ = './yolox-joint_s_8xb32-300e_coco.py'

model = dict(
    backbone=dict(deepen_factor=1.0, widen_factor=1.0),
    neck=dict(in_channels=[256, 512, 1024], out_channels=256, num_csp_blocks=3),
    head=dict(head_module=dict(widen_factor=1.0)))

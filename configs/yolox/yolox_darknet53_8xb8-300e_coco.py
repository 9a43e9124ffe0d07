_base_ = './yolox_s_8xb8-300e_coco.py'

# Darknet-53, YOLOv3's top-down path and leaky activations, as in Megvii's yolov3.py
_norm = dict(type='BN', momentum=0.03, eps=0.001)
_act = dict(type='LeakyReLU', negative_slope=0.1, inplace=True)

model = dict(
    backbone=dict(
        _delete_=True, type='mmdet.Darknet', depth=53, out_indices=(3, 4, 5), norm_eval=False, norm_cfg=_norm,
        act_cfg=_act,
        init_cfg=dict(
            type='Kaiming', layer='Conv2d', a=2.23606797749979, distribution='uniform', mode='fan_in',
            nonlinearity='leaky_relu')),
    neck=dict(
        _delete_=True, type='yolox_pose.YOLOXDarknetNeck', in_channels=[256, 512, 1024], out_channels=256,
        norm_cfg=_norm, act_cfg=_act),
    head=dict(head_module=dict(widen_factor=1.0, act_cfg=dict(_delete_=True, **_act))))

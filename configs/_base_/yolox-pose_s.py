# The pose model, size s. A size is (deepen, widen): tiny (.33, .375), s (.33, .5), m (.67, .75), l (1, 1), x (1.33, 1.25).
_norm = dict(type='BN', momentum=0.03, eps=0.001)
_act = dict(type='SiLU', inplace=True)

model = dict(
    type='yolox_pose.YOLOXPoseEstimator',
    init_cfg=dict(
        type='Kaiming', layer='Conv2d', a=2.23606797749979, distribution='uniform', mode='fan_in',
        nonlinearity='leaky_relu'),
    data_preprocessor=dict(type='yolox_pose.YOLOXPoseDataPreprocessor', random_size=(480, 800)),
    backbone=dict(
        type='mmdet.CSPDarknet', deepen_factor=0.33, widen_factor=0.5, out_indices=(2, 3, 4), use_depthwise=False,
        spp_kernal_sizes=(5, 9, 13), norm_cfg=_norm, act_cfg=_act),
    neck=dict(
        type='mmdet.YOLOXPAFPN', in_channels=[128, 256, 512], out_channels=128, num_csp_blocks=1, use_depthwise=False,
        upsample_cfg=dict(scale_factor=2, mode='nearest'), norm_cfg=_norm, act_cfg=_act),
    head=dict(
        type='yolox_pose.YOLOXPoseDecoupledHead', num_classes=1, skeleton='coco',
        head_module=dict(widen_factor=0.5, use_depthwise=False, norm_cfg=_norm, act_cfg=_act)),
    test_cfg=dict(score_thr=0.01, nms_pre=3000, nms_thr=0.65, max_per_img=300))

# The detection model, size s: the pose model without the keypoint branch, 80 classes.
_base_ = './yolox-pose_s.py'

model = dict(
    data_preprocessor=dict(random_size_interval=10),
    head=dict(num_classes=80, skeleton=None, assigner=dict(prior_offset=0.5)))

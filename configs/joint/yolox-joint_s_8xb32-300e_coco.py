# Boxes of the 80 COCO classes and keypoints of people in one model: the pose recipe with a second annotation file.
_base_ = '../yolox-pose/yolox-pose_s_8xb32-300e_coco.py'

data_root = 'data/coco/'
model = dict(head=dict(num_classes=80, keypoint_classes=(0, )))
train_dataloader = dict(
    dataset=dict(
        ann_file='annotations/instances_train2017.json',
        keypoint_file='annotations/person_keypoints_train2017.json',
        classes='coco',
        keypoint_classes=('person', )))
val_dataloader = dict(
    dataset=dict(
        ann_file='annotations/instances_val2017.json',
        keypoint_file='annotations/person_keypoints_val2017.json',
        classes='coco',
        keypoint_classes=('person', )))
test_dataloader = val_dataloader
val_evaluator = dict(
    ann_file=data_root + 'annotations/instances_val2017.json',
    keypoint_ann_file=data_root + 'annotations/person_keypoints_val2017.json',
    metric=('keypoints', 'bbox'))
test_evaluator = val_evaluator

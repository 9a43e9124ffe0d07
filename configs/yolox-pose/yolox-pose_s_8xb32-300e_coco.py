_base_ = ['../_base_/yolox-pose_s.py', '../_base_/coco-pose_8xb32-300e.py']

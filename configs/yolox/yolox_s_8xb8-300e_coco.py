_base_ = ['../_base_/yolox_s.py', '../_base_/coco-detection_8xb8-300e.py']

_base_ = ['../_base_/yolox_s.py', '../_base_/coco-detection_8xb32-300e-rtmdet-hyp.py']

model = dict(data_preprocessor=dict(random_size_interval=1))

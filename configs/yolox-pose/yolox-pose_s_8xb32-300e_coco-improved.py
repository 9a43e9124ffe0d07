_base_ = ['./yolox-pose_s_8xb32-300e_coco.py', '../_base_/improved.py']

# The published recipe with our changes (`improved.py`), not yet trained for 300 epochs
model = dict(head=_base_.improved_head)
optim_wrapper = _base_.improved_optim_wrapper

# Our changes to the published recipe, for the configs named *_coco-improved.py. They are measured on short runs
# (docs/learning.md) and have not been trained for 300 epochs.
improved_head = dict(
    assigner=dict(dynamic_k='iou'),  # several positives per person while OKS is near 0, where k from OKS is 1
    loss_weights=dict(keypoint_l1=3.0))  # 1 - OKS has no gradient far from the target
improved_optim_wrapper = dict(clip_grad=dict(max_norm=35))  # 0.1 clips every early step to the same small length

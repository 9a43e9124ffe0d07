"""mmpose's assigner on one image of a batch in the form of :func:`yolox_pose.ops.simota`."""

import torch


def assign_by_mmpose(batch, image, indicator):
    """(N,) instance of each prior, -1 for background, and (N,) overlap; instances without labeled keypoints have no rule."""
    from mmengine.structures import InstanceData
    from mmpose.models.task_modules.assigners import SimOTAAssigner, metric_calculators

    import yolox_pose.registry  # noqa: F401

    assigner = SimOTAAssigner(
        dynamic_k_indicator=indicator,
        oks_calculator=dict(type="mmpose.PoseOKS"),
        iou_calculator=dict(type="mmpose.BBoxOverlaps2D"),
    )
    assigner.oks_calculator = metric_calculators.PoseOKS()
    assigner.oks_calculator.sigmas = batch["sigmas"]
    valid, priors = batch["valid"][image], batch["priors"]
    score = batch["class_logits"][image].sigmoid() * batch["objectness_logits"][image, :, None].sigmoid()
    result = assigner.assign(
        InstanceData(
            bboxes=batch["pred_boxes"][image],
            scores=score.sqrt(),
            priors=torch.cat([priors, priors[:, 2:]], 1),
            keypoints=batch["pred_keypoints"][image],
            keypoints_visible=torch.ones(len(priors), batch["keypoints"].shape[2]),
        ),
        InstanceData(
            bboxes=batch["boxes"][image, valid],
            labels=batch["labels"][image, valid],
            keypoints=batch["keypoints"][image, valid],
            keypoints_visible=batch["labeled"][image, valid].float(),
            areas=batch["areas"][image, valid],
        ),
    )
    return result["gt_inds"] - 1, result["max_overlaps"]

"""Synthetic crowds: pictures of articulated, dressed figures that hide each other, with exact COCO keypoint annotations.

They stand in for photographs, which the quickstart and the tests cannot ship. Depends on numpy and cv2 alone.

========================================  =====================================================================
:mod:`~yolox_pose.synthetic.options`      settings of the pictures
:mod:`~yolox_pose.synthetic.paint`        anti-aliased shapes on a canvas that records what is topmost
:mod:`~yolox_pose.synthetic.body`         joint angles and proportions in three dimensions
:mod:`~yolox_pose.synthetic.figure`       a posed, dressed person as painted parts
:mod:`~yolox_pose.synthetic.scene`        random poses, clothes, objects and backgrounds
:mod:`~yolox_pose.synthetic.motion`       people who walk or sway
:mod:`~yolox_pose.synthetic.annotation`   COCO annotations of a painted scene
:mod:`~yolox_pose.synthetic.rendering`    single pictures and sequences
:mod:`~yolox_pose.synthetic.dataset`      data sets on disk
========================================  =====================================================================
"""

"""Geometry in numpy and cv2: boxes, OKS, NMS, affine maps, letterbox, image reading."""

"""Plain data that travels between the packages: skeletons, classes, settings, detections, constants."""

"""The names of other implementations' tensors, built from their own structure: for sizes by depth and depthwise."""

DEPTHS = {"nano": 0.33, "tiny": 0.33, "s": 0.33, "m": 0.67, "l": 1.0, "x": 1.33}


def conv(name):
    return [f"{name}.conv.weight", *(f"{name}.bn.{part}" for part in
            ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"))]  # fmt: skip


def biased(name):
    return [f"{name}.weight", f"{name}.bias"]


def stem_and_stages(root, stage, csp, spp, layer):
    """Backbone names: ``stage(i)`` names stages 1 to 4; ``blocks(factor)`` gives the bottlenecks of a stage."""

    def names(blocks):
        found = conv(f"{root}.stem.conv")
        for i, factor in enumerate((1, 3, 3, 1), 1):
            found += layer(f"{stage(i)}.0")
            if i == 4:
                found += conv(f"{stage(i)}.1.{spp[0]}") + conv(f"{stage(i)}.1.{spp[1]}")
            found += csp(f"{stage(i)}.{2 if i == 4 else 1}", blocks(factor))
        return found

    return names


def megvii(size):
    """Megvii: ``yolo_pafpn.py``, ``darknet.py``, ``yolo_head.py``, ``network_blocks.py``."""
    depth = DEPTHS[size]
    layer = (lambda n: conv(f"{n}.dconv") + conv(f"{n}.pconv")) if size == "nano" else conv

    def csp(name, count):
        blocks = [x for i in range(count) for x in conv(f"{name}.m.{i}.conv1") + layer(f"{name}.m.{i}.conv2")]
        return [x for part in ("conv1", "conv2", "conv3") for x in conv(f"{name}.{part}")] + blocks

    names = stem_and_stages(
        "backbone.backbone", lambda i: f"backbone.backbone.dark{i + 1}", csp, ("conv1", "conv2"), layer
    )(lambda factor: max(round(3 * depth), 1) * factor)
    for part in ("lateral_conv0", "reduce_conv1"):
        names += conv(f"backbone.{part}")
    for part in ("bu_conv2", "bu_conv1"):
        names += layer(f"backbone.{part}")
    for part in ("C3_p4", "C3_p3", "C3_n3", "C3_n4"):
        names += csp(f"backbone.{part}", round(3 * depth))
    for level in range(3):
        names += conv(f"head.stems.{level}")
        names += [x for b in ("cls_convs", "reg_convs") for i in range(2) for x in layer(f"head.{b}.{level}.{i}")]
        names += [x for o in ("cls_preds", "reg_preds", "obj_preds") for x in biased(f"head.{o}.{level}")]
    return names


def mmyolo(size, pose=True):
    """MMYOLO and MMPose's project: ``yolox_pafpn.py``, ``csp_darknet.py``, ``yolox_pose_head.py``."""
    depth = DEPTHS[size]

    def csp(name, count):
        blocks = [x for i in range(count) for part in ("conv1", "conv2") for x in conv(f"{name}.blocks.{i}.{part}")]
        return [x for part in ("main_conv", "short_conv", "final_conv") for x in conv(f"{name}.{part}")] + blocks

    names = stem_and_stages("backbone", lambda i: f"backbone.stage{i}", csp, ("conv1", "conv2"), conv)(
        lambda factor: max(round(3 * factor * depth), 1)
    )
    blocks = round(3 * depth)
    names += conv("neck.reduce_layers.2") + csp("neck.top_down_layers.0.0", blocks)
    names += conv("neck.top_down_layers.0.1") + csp("neck.top_down_layers.1", blocks)
    for i in range(2):
        names += conv(f"neck.downsample_layers.{i}") + csp(f"neck.bottom_up_layers.{i}", blocks)
    for level in range(3):
        names += conv(f"neck.out_layers.{level}")
        branches = [("cls_convs", 2), ("reg_convs", 2), *([("pose_convs", 4)] if pose else [])]
        outputs = ["conv_cls", "conv_reg", "conv_obj", *(["conv_offsets", "conv_vis"] if pose else [])]
        head = "bbox_head.head_module.multi_level_"
        names += [x for b, n in branches for i in range(n) for x in conv(f"{head}{b}.{level}.{i}")]
        names += [x for o in outputs for x in biased(f"{head}{o}.{level}")]
    return names


def megvii_darknet53():
    """Megvii's YOLOFPN on Darknet-53: ``yolo_fpn.py``, ``darknet.py``."""
    root = "backbone.backbone"

    def residual(name):
        return conv(f"{name}.layer1") + conv(f"{name}.layer2")

    names = conv(f"{root}.stem.0") + conv(f"{root}.stem.1") + residual(f"{root}.stem.2")
    for stage, count in zip(range(2, 6), (2, 8, 8, 4)):
        names += conv(f"{root}.dark{stage}.0")
        names += [x for i in range(count) for x in residual(f"{root}.dark{stage}.{i + 1}")]
    names += conv(f"{root}.dark5.5") + conv(f"{root}.dark5.6") + conv(f"{root}.dark5.8") + conv(f"{root}.dark5.9")
    names += conv(f"{root}.dark5.7.conv1") + conv(f"{root}.dark5.7.conv2")
    for i in (1, 2):
        names += conv(f"backbone.out{i}_cbl") + [x for j in range(5) for x in conv(f"backbone.out{i}.{j}")]
    for level in range(3):
        names += conv(f"head.stems.{level}")
        names += [x for b in ("cls_convs", "reg_convs") for i in range(2) for x in conv(f"head.{b}.{level}.{i}")]
        names += [x for o in ("cls_preds", "reg_preds", "obj_preds") for x in biased(f"head.{o}.{level}")]
    return names

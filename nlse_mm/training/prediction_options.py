"""Write what ``test.py``'s options ask for into a config."""

import argparse

from mmengine.config import Config, ConfigDict

from nlse_mm.errors import ConfigError
from nlse_mm.toolbox import DETECTION, SEGMENTATION, Toolbox, find_toolbox


def set_images(cfg: Config, args: argparse.Namespace) -> None:
    """Let the visualization hook show or write its images."""
    hook = (cfg.get("default_hooks") or {}).get("visualization")
    if hook is None:
        raise ConfigError(
            "--show and --show-dir need default_hooks.visualization in the config, "
            "such as dict(type='DetVisualizationHook') or "
            "dict(type='SegVisualizationHook')"
        )
    hook.draw = True
    if args.show:
        hook.update(show=True, wait_time=args.wait_time)
    segments = cfg.get("default_scope") == SEGMENTATION.scope
    if segments:
        hook.setdefault("interval", 1)  # every image, as the other toolboxes do
    if args.show_dir and segments:
        cfg.visualizer.save_dir = args.show_dir
    elif args.show_dir:
        hook.test_out_dir = args.show_dir


def keep_predictions(cfg: Config, out: str) -> None:
    """Let the metrics of a segmentation, or one more metric, write to ``out``."""
    metrics = cfg.test_evaluator
    metrics = [metrics] if isinstance(metrics, dict) else list(metrics)
    toolbox = find_toolbox(cfg.get("default_scope"))
    if toolbox is SEGMENTATION:
        for metric in metrics:
            metric.update(output_dir=out, keep_results=True)
    elif not out.endswith((".pkl", ".pickle")):
        raise ConfigError(f"--out {out} is not a .pkl or .pickle file")
    else:
        dump = toolbox.dump_metric if toolbox else Toolbox.dump_metric
        metrics.append(dict(type=dump, out_file_path=out))
    cfg.test_evaluator = metrics


def set_tta(cfg: Config) -> None:
    """Test on the config's views of an image; of a detector, on it and its mirror."""
    dataset = cfg.test_dataloader.dataset
    while "dataset" in dataset:
        dataset = dataset.dataset
    if cfg.get("default_scope") == DETECTION.scope:
        flip, model = "RandomFlip", "DetTTAModel"
        pack: dict[str, object] = dict(type="PackDetInputs")
        if dataset.pipeline[-1].type == "nlse_mm.PackKeypoints":
            flip, model = "nlse_mm.FlipKeypoints", "nlse_mm.KeypointTTAModel"
            metas = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")
            flipped = ("flip", "flip_direction", "flip_indices")
            pack = dict(type="nlse_mm.PackKeypoints", meta_keys=metas + flipped)
        # The first view's sample is the one that is drawn: not a flipped one.
        flips = [dict(type=flip, prob=prob) for prob in (0.0, 1.0)]
        views = dict(type="TestTimeAug", transforms=[flips, [pack]])
        cfg.setdefault("tta_pipeline", [*dataset.pipeline[:-1], views])
        nms = dict(nms=dict(type="nms", iou_threshold=0.5), max_per_img=100)
        cfg.setdefault("tta_model", dict(type=model, tta_cfg=nms))
    for key in ("tta_model", "tta_pipeline"):
        if cfg.get(key) is None:
            raise ConfigError(f"--tta needs {key} in the config")
    dataset.pipeline = cfg.tta_pipeline
    cfg.model = ConfigDict(cfg.tta_model, module=cfg.model)

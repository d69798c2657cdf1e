"""Small scenes of overlapping shapes, and their annotations as COCO writes them."""

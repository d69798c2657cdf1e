"""The configs that MMDetection and MMSegmentation ship, with plugins added to them."""

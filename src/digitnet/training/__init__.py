"""From a recipe to a trained network: batches, the loop, the run folder, the evaluation."""

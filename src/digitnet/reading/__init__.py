"""From a picture to its prediction: pictures, ink, the model file, the recogniser; no torch."""

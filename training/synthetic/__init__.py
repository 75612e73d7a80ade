"""Virtual patients: procedural anatomy, lesions, contrast and report sentences with exact ground truth."""

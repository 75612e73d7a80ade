"""What training reads: labelled cases and their augmentation."""
